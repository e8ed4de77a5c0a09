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

CREATE TEMP MACRO plain_money(number) AS
    CASE
        WHEN abs(TRY_CAST(number AS DECIMAL(38, 19))) < 1000000000000000000 THEN TRY_CAST(number AS DECIMAL(38, 19))
    END;

-- The amount a text states, or NULL; then rounded at the sixth decimal, half away from zero. Never by way of a float.
CREATE TEMP MACRO money_text(written) AS
    CASE
        WHEN length(written) > 40 THEN NULL
        WHEN regexp_full_match(written, '[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?') THEN plain_money(written)
        ELSE plain_money(
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
            )
        )
    END;

CREATE TEMP MACRO money(object, path) AS
    CASE
        WHEN json_type(object, path) IN ('UBIGINT', 'BIGINT', 'DOUBLE', 'VARCHAR')
        THEN CAST(money_text(json_extract_string(object, path)) AS DECIMAL(28, 6))
    END;

-- Whether a field says anything: null and blank text say as little as a field that is not there.
CREATE TEMP MACRO stated(object, path) AS
    CASE json_type(object, path)
        WHEN 'NULL' THEN false
        WHEN 'VARCHAR' THEN NOT regexp_full_match(json_extract_string(object, path), gap())
        ELSE json_type(object, path) IS NOT NULL
    END;

-- A currency's code in capitals, or NULL.
CREATE TEMP MACRO currency(object, path) AS
    CASE
        WHEN json_type(object, path) = 'VARCHAR'
        AND regexp_full_match(json_extract_string(object, path), '[A-Za-z0-9]{1,16}')
        THEN upper(json_extract_string(object, path))
    END;

CREATE TEMP MACRO code_of(units) AS
    CASE WHEN starts_with(units, '€') THEN 'EUR' ELSE upper(left(units, 3)) END;

-- The currency that an amount's text names by its code, or by the sign of the euro.
CREATE TEMP MACRO code_in(object, path) AS
    CASE
        WHEN json_type(object, path) = 'VARCHAR'
        AND length(json_extract_string(object, path)) <= 40
        AND regexp_matches(json_extract_string(object, path), written_amount())
        THEN nullif(code_of(regexp_replace(json_extract_string(object, path), written_amount(), '\2\5')), '')
    END;

CREATE TEMP MACRO quantity_of(product) AS
    CASE WHEN stated(product, '$.quantity') THEN money(product, '$.quantity') ELSE CAST(1 AS DECIMAL(28, 6)) END;

-- Price times quantity of one product; NULL where it states no price, or one of both cannot be read.
CREATE TEMP MACRO product_money(product) AS
    TRY_CAST(TRY(money(product, '$.price') * quantity_of(product)) AS DECIMAL(30, 12));

CREATE TEMP MACRO product_is_unreadable(product) AS
    CASE WHEN stated(product, '$.price') THEN product_money(product) IS NULL ELSE quantity_of(product) IS NULL END;

CREATE TEMP MACRO products_money(products) AS
    CAST(list_sum(list_transform(products, lambda product : product_money(product))) AS DECIMAL(38, 6));

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
