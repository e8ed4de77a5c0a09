-- Purpose: amounts of money, by the rules of schemas/money.py. Temporary: they take nobody's names.

-- The amount a text states, or NULL; then rounded at the sixth decimal, half away from zero. Never by way of a float.
CREATE TEMP MACRO money_text(stated) AS
    CASE
        WHEN length(stated) <= 40
        AND regexp_full_match(stated, ' *[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)? *')
        AND abs(TRY_CAST(trim(stated) AS DECIMAL(38, 19))) < 1000000000000000000
        THEN TRY_CAST(trim(stated) AS DECIMAL(38, 19))
    END;

CREATE TEMP MACRO money(object, path) AS
    CASE
        WHEN json_type(object, path) IN ('UBIGINT', 'BIGINT', 'DOUBLE', 'VARCHAR')
        THEN CAST(money_text(json_extract_string(object, path)) AS DECIMAL(28, 6))
    END;

-- Price times quantity of one product; 0 where it states no price or no usable quantity.
CREATE TEMP MACRO product_money(product) AS
    coalesce(
        TRY_CAST(
            TRY(
                money(product, '$.price')
                * CASE WHEN json_exists(product, '$.quantity') THEN money(product, '$.quantity') ELSE 1 END
            ) AS DECIMAL(30, 12)
        ),
        0
    );

-- The first amount among two fields, else the sum of the products, else NULL.
CREATE TEMP MACRO amount(properties, field, other) AS
    coalesce(
        CAST(money(properties, field) AS DECIMAL(38, 6)),
        CAST(money(properties, other) AS DECIMAL(38, 6)),
        CAST(
            list_sum(
                list_transform(json_extract(properties, '$.products[*]'), lambda product : product_money(product))
            ) AS DECIMAL(38, 6)
        )
    );
