-- Purpose: order_event: what each event of an order states: amount, currency, products.
-- Needs: mart.fct_event

CREATE TEMP TABLE order_event AS
SELECT
    CASE
        WHEN json_type(properties, '$.order_id') IN ('VARCHAR', 'UBIGINT', 'BIGINT')
        AND json_extract_string(properties, '$.order_id') <> ''
        THEN json_extract_string(properties, '$.order_id')
        ELSE message_id
    END AS order_id,
    profile_id,
    message_id,
    occurred_at,
    channel,
    name,
    name IN ('Order Completed', 'Order Updated') AS placed,
    CASE WHEN name <> 'Order Cancelled' THEN
        CASE
            WHEN name = 'Order Refunded' THEN amount(properties, '$.total', '$.revenue')
            ELSE amount(properties, '$.revenue', '$.total')
        END
    END AS amount,
    CASE
        WHEN json_type(properties, '$.currency') = 'VARCHAR'
        AND regexp_full_match(json_extract_string(properties, '$.currency'), '[A-Za-z0-9]{1,16}')
        THEN upper(json_extract_string(properties, '$.currency'))
    END AS currency,
    CASE WHEN json_type(properties, '$.products') = 'ARRAY' THEN json_extract(properties, '$.products') END AS products
FROM mart.fct_event
WHERE type = 'track'
AND name IN ('Order Completed', 'Order Updated', 'Order Refunded', 'Order Cancelled');
