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
    || '([0-9.,](?:[0-9.,''’\t-\r \x{a0}\x{2007}\x{2009}\x{202f}]*[0-9.])?(?:[eE][+-]?[0-9]{1,3})?)'
    || gap() || currency_sign() || gap() || currency_code() || gap() || '$';

-- A number as machines write it; NULL where it is none, or may be two.
CREATE TEMP MACRO digits(number) AS
    CASE
        WHEN regexp_full_match(
            number,
            '[+-]?(?:(?:[0-9]+[.]?[0-9]*|[.][0-9]+)(?:[eE][+-]?[0-9]{1,3})?'
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

-- Whether a JSON value says anything: null and blank text say as little as a field that is not there.
CREATE TEMP MACRO stated(value) AS
    CASE json_type(value)
        WHEN 'NULL' THEN false
        WHEN 'VARCHAR' THEN NOT regexp_full_match(value ->> '$', gap())
        ELSE value IS NOT NULL
    END;

CREATE TEMP MACRO code_of(units) AS
    CASE WHEN starts_with(units, '€') THEN 'EUR' ELSE upper(nullif(left(units, 3), '')) END;

-- A currency's code in capitals, or NULL.
CREATE TEMP MACRO unit_of(unit) AS CASE WHEN unit = '€' THEN 'EUR' ELSE upper(nullif(unit, '')) END;

CREATE TEMP MACRO currency_in(value) AS
    CASE
        WHEN json_type(value) = 'VARCHAR'
        THEN unit_of(regexp_extract(value ->> '$', '^' || gap() || '([A-Za-z0-9]{1,16}|€)' || gap() || '$', 1))
    END;

-- What JSON values say as amounts, an entry each: whether it says anything, the amount, and the currency that its
-- text names by code or by the sign of the euro. An amount is rounded at the sixth decimal, half away from zero, never
-- by way of a float. DECIMAL(37, 19) ends where money does, at 10^18. Large regular expressions are costly wherever
-- they stand, so all amounts of an event are read at once.
CREATE TEMP MACRO amounts_in(json_values) AS
    list_transform(
        list_transform(
            list_transform(
                json_values,
                lambda value : {
                    'stated': coalesce(stated(value), false),
                    'text': CASE WHEN json_type(value) = 'VARCHAR' THEN value ->> '$' END,
                    'number': CASE
                        WHEN json_type(value) IN ('DOUBLE', 'UBIGINT', 'BIGINT') THEN CAST(value AS VARCHAR)
                        WHEN regexp_full_match(value ->> '$', '[0-9]{1,36}([.][0-9]{1,3})?') THEN value ->> '$'
                    END
                }
            ),
            lambda said : {
                'stated': said.stated,
                'number': said.number,
                'written': CASE
                    WHEN said.number IS NULL AND length(said.text) <= 40
                    THEN regexp_extract(said.text, written_amount(), ['sign', 'code', 'sign_2', 'number', 'code_2'])
                END
            }
        ),
        -- A text that names two currencies can be read two ways.
        lambda said : {
            'stated': said.stated,
            'amount': CAST(
                TRY_CAST(
                    coalesce(
                        said.number,
                        digits(
                            translate(
                                regexp_replace(
                                    CASE
                                        WHEN coalesce(code_of(said.written.code) = code_of(said.written.code_2), true)
                                        THEN said.written.sign || said.written.sign_2 || said.written.number
                                    END,
                                    '[\t-\r\x{a0}\x{2007}\x{2009}\x{202f}]',
                                    ' ',
                                    'g'
                                ),
                                '’−',
                                '''-'
                            )
                        )
                    ) AS DECIMAL(37, 19)
                ) AS DECIMAL(28, 6)
            ),
            'code': CASE
                WHEN coalesce(code_of(said.written.code) = code_of(said.written.code_2), true)
                THEN code_of(said.written.code || said.written.code_2)
            END
        }
    );

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
