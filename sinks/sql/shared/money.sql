-- Purpose: amounts of money, by the rules of schemas/money.py. Temporary: they take nobody's names.

-- What may stand around a number, and between its digits.
CREATE TEMP MACRO gap() AS '[\t-\r \x{a0}\x{2007}\x{2009}\x{202f}]*';

-- Codes of ISO 4217, and the one sign that stands for one currency only.
CREATE TEMP MACRO currency_code() AS
    '((?i:'
    || 'AED|AFN|ALL|AMD|ANG|AOA|ARS|AUD|AWG|AZN|BAM|BBD|BDT|BGN|BHD|BIF|BMD|BND|BOB|BRL|BSD|BTN|BWP|BYN|BZD|CAD'
    || '|CDF|CHF|CLF|CLP|CNY|COP|CRC|CUP|CVE|CZK|DJF|DKK|DOP|DZD|EGP|ERN|ETB|EUR|FJD|FKP|GBP|GEL|GHS|GIP|GMD|GNF'
    || '|GTQ|GYD|HKD|HNL|HRK|HTG|HUF|IDR|ILS|INR|IQD|IRR|ISK|JMD|JOD|JPY|KES|KGS|KHR|KMF|KPW|KRW|KWD|KYD|KZT|LAK'
    || '|LBP|LKR|LRD|LSL|LYD|MAD|MDL|MGA|MKD|MMK|MNT|MOP|MRU|MUR|MVR|MWK|MXN|MYR|MZN|NAD|NGN|NIO|NOK|NPR|NZD|OMR'
    || '|PAB|PEN|PGK|PHP|PKR|PLN|PYG|QAR|RON|RSD|RUB|RWF|SAR|SBD|SCR|SDG|SEK|SGD|SHP|SLE|SOS|SRD|SSP|STN|SVC|SYP'
    || '|SZL|THB|TJS|TMT|TND|TOP|TRY|TTD|TWD|TZS|UAH|UGX|USD|UYU|UZS|VED|VES|VND|VUV|WST|XAF|XCD|XOF|XPF|YER|ZAR'
    || '|ZMW|ZWL'
    || ')|€)?';

CREATE TEMP MACRO currency_sign() AS
    '(?:[A-Z]{0,3}[$]|[£¥￥฿₠-₤₦-₫₭-₯₱-₿]|(?i:kr|zł|kč|ft|lei|fr|rs|rp|tl|rm|лв|руб|грн)[.]?)?';

-- Sign, code, sign again, number, code: what stands around a number, and no statement about the number itself.
CREATE TEMP MACRO written_amount() AS
    '^' || gap() || '([+−-]?)' || gap() || currency_code() || gap() || currency_sign() || gap() || '([+−-]?)' || gap()
    || '([0-9.,](?:[0-9.,''’\t-\r \x{a0}\x{2007}\x{2009}\x{202f}]*[0-9.])?(?:[eE][+-]?[0-9]+)?)'
    || gap() || currency_sign() || gap() || currency_code() || gap() || '$';

-- A number as machines write it; NULL where it is none, or may be two.
CREATE TEMP MACRO digits(number) AS
    CASE
        WHEN regexp_full_match(
            number,
            '[+-]?(?:(?:[0-9]+[.]?[0-9]*|[.][0-9]+)(?:[eE][+-]?[0-9]+)?'
            || '|[1-9][0-9]{0,2}(?:(?:,[0-9]{3})+[.][0-9]+|(?:,[0-9]{3}){2,}'
            || '|(?:(?: [0-9]{3})+|(?:''[0-9]{3})+)(?:[.][0-9]+)?)'
            || '|[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}(?:[.][0-9]+)?)'
        )
        THEN translate(number, ' ,''', '')
        WHEN regexp_full_match(
            number,
            '[+-]?(?:[0-9]*,(?:[0-9]{1,2}|[0-9]{4,})'
            || '|[1-9][0-9]{0,2}(?:(?:[.][0-9]{3})+,[0-9]+|(?:[.][0-9]{3}){2,}'
            || '|(?:(?: [0-9]{3})+|(?:''[0-9]{3})+),[0-9]+))'
        )
        THEN translate(number, ', .''', '.')
    END;

-- The amount a text states, or NULL; money() rounds it at the sixth decimal, half away from zero. Never by way of a
-- float. DECIMAL(37, 19) ends where money does, at 10^18.
CREATE TEMP MACRO money_text(written) AS
    CASE
        WHEN length(written) > 40 THEN NULL
        WHEN regexp_full_match(written, '[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?')
        THEN TRY_CAST(written AS DECIMAL(37, 19))
        ELSE TRY_CAST(
            digits(
                translate(
                    regexp_replace(
                        regexp_replace(written, written_amount(), '\1\3\4'),
                        '[\t-\r\x{a0}\x{2007}\x{2009}\x{202f}]',
                        ' ',
                        'g'
                    ),
                    '’−',
                    '''-'
                )
            ) AS DECIMAL(37, 19)
        )
    END;

-- The amount that a JSON value states.
CREATE TEMP MACRO money(value) AS
    CAST(
        CASE json_type(value)
            WHEN 'VARCHAR' THEN money_text(value ->> '$')
            WHEN 'DOUBLE' THEN TRY_CAST(CAST(value AS VARCHAR) AS DECIMAL(37, 19))
            WHEN 'UBIGINT' THEN TRY_CAST(CAST(value AS VARCHAR) AS DECIMAL(37, 19))
            WHEN 'BIGINT' THEN TRY_CAST(CAST(value AS VARCHAR) AS DECIMAL(37, 19))
        END AS DECIMAL(28, 6)
    );

-- Whether a JSON value says anything: null and blank text say as little as a field that is not there.
CREATE TEMP MACRO stated(value) AS
    CASE json_type(value)
        WHEN 'NULL' THEN false
        WHEN 'VARCHAR' THEN NOT regexp_full_match(value ->> '$', gap())
        ELSE value IS NOT NULL
    END;

-- A currency's code in capitals, or NULL.
CREATE TEMP MACRO currency_in(value) AS
    CASE
        WHEN json_type(value) = 'VARCHAR' AND regexp_full_match(value ->> '$', '[A-Za-z0-9]{1,16}')
        THEN upper(value ->> '$')
    END;

CREATE TEMP MACRO code_of(units) AS
    CASE WHEN starts_with(units, '€') THEN 'EUR' ELSE upper(nullif(left(units, 3), '')) END;

-- The currency that an amount's text names by its code, or by the sign of the euro.
CREATE TEMP MACRO code_in(value) AS
    CASE
        WHEN json_type(value) = 'VARCHAR'
        AND length(value ->> '$') <= 40
        AND regexp_matches(value ->> '$', written_amount())
        THEN code_of(regexp_replace(value ->> '$', written_amount(), '\2\5'))
    END;

CREATE TEMP MACRO share_in_millionths(product, whole) AS
    CASE
        WHEN whole > 0 AND abs(product) < 10000000000000000000000000000000000000
        THEN CAST(sign(product) * ((2 * abs(product) + whole) // (2 * whole)) AS DECIMAL(38, 0))
            * CAST(0.000001 AS DECIMAL(7, 6))
    END;

-- What `part` pieces cost where `whole` pieces cost `value`, in whole numbers; NULL where that cannot be said.
CREATE TEMP MACRO share_of(value, part, whole) AS
    TRY(
        share_in_millionths(
            CAST(value * 1000000 AS HUGEINT) * CAST(part * 1000000 AS HUGEINT), CAST(whole * 1000000 AS HUGEINT)
        )
    );
