-- Purpose: ids of orders and products, by the rules of profiles/orders.py. Temporary: they take nobody's names.

CREATE TEMP MACRO whole_text(number) AS
    CASE
        WHEN number = trunc(number) AND abs(number) < 9007199254740992 THEN CAST(CAST(number AS BIGINT) AS VARCHAR)
    END;

-- An id as text: 777, 777.0 and "777" are one. NULL where it is none.
CREATE TEMP MACRO id_text(object, path) AS
    CASE json_type(object, path)
        WHEN 'VARCHAR' THEN nullif(json_extract_string(object, path), '')
        WHEN 'UBIGINT' THEN json_extract_string(object, path)
        WHEN 'BIGINT' THEN json_extract_string(object, path)
        WHEN 'DOUBLE' THEN whole_text(TRY_CAST(json_extract_string(object, path) AS DOUBLE))
    END;

CREATE TEMP MACRO product_key(product) AS
    coalesce(id_text(product, '$.product_id'), id_text(product, '$.sku'));
