-- Purpose: mart.fct_order: one row an order id, refunds and cancellations netted in `refunded`.
-- The rules are those of the profile: the newest placement states amount and currency, refunds add up. An order id that
-- two customers used is one order here, of whoever placed it last; each profile goes on showing what it saw.

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

CREATE TEMP TABLE folded_order AS
SELECT
    order_id,
    arg_max((profile_id, channel), (placed, occurred_at, message_id)) AS owner,
    arg_max((amount, currency, products), (occurred_at, message_id)) FILTER (placed) AS stated,
    arg_max(coalesce(currency, ''), message_id) AS refund_currency,
    coalesce(min(occurred_at) FILTER (placed), min(occurred_at)) AS occurred_at,
    max(occurred_at) AS updated_at,
    bool_or(placed) AS placed,
    bool_or(name = 'Order Cancelled') AS cancelled,
    bool_or(NOT placed AND amount IS NULL) AS undone,
    coalesce(sum(abs(amount)) FILTER (NOT placed), 0) AS partly
FROM order_event
GROUP BY order_id;

CREATE TABLE mart.fct_order AS
SELECT
    order_id,
    owner[1] AS profile_id,
    occurred_at,
    updated_at,
    CASE
        WHEN NOT placed THEN 'unplaced'
        WHEN cancelled THEN 'cancelled'
        WHEN undone OR (partly > 0 AND partly >= coalesce(stated[1], 0)) THEN 'refunded'
        WHEN partly > 0 THEN 'partly_refunded'
        ELSE 'completed'
    END AS status,
    coalesce(stated[1], 0) AS revenue,
    CASE WHEN undone THEN greatest(coalesce(stated[1], 0), partly) ELSE partly END AS refunded,
    CASE WHEN placed THEN stated[2] ELSE nullif(refund_currency, '') END AS currency,
    CAST(coalesce(json_array_length(stated[3]), 0) AS INTEGER) AS lines,
    owner[2] AS channel,
    stated[3] AS products
FROM folded_order
ORDER BY profile_id, occurred_at, order_id;
