-- Purpose: order_event: what each event of an order states: amount, currency, products.
-- Needs: mart.fct_event

CREATE TEMP TABLE order_event AS
SELECT
    order_id,
    profile_id,
    message_id,
    occurred_at,
    {'occurred_at': occurred_at, 'sequence': sequence, 'message_id': message_id} AS place,
    channel,
    name,
    source,
    placed,
    amount_said IS NOT NULL AS has_amount,
    CASE amount_said WHEN 'revenue' THEN revenue_amount WHEN 'total' THEN total_amount END AS amount,
    coalesce(
        currency_in(currency), code_in(CASE amount_said WHEN 'revenue' THEN revenue WHEN 'total' THEN total END)
    ) AS currency,
    -- An empty list says as little as none.
    CASE WHEN json_type(product_list) = 'ARRAY' THEN products_in(nullif(product_list, '[]')) END AS products,
    product_list,
    json_type(product_list) <> 'ARRAY' AND stated(product_list) AS has_other_products,
    revenue,
    -- An empty text in a refund that says nothing else may have meant a part as well as nothing.
    name = 'Order Refunded'
    AND amount_said IS NULL
    AND products IS NULL
    AND NOT coalesce(has_other_products, false)
    AND coalesce('VARCHAR' IN (json_type(revenue), json_type(total), json_type(product_list)), false) AS is_blank,
    has_revenue AND revenue_amount IS NULL AS revenue_is_unreadable,
    total,
    has_total AND total_amount IS NULL AS total_is_unreadable
FROM (
    SELECT
        *,
        CASE
            WHEN name = 'Order Cancelled' THEN NULL
            -- A refund states itself as total; its revenue may be that of the order.
            WHEN has_total AND (name = 'Order Refunded' OR NOT has_revenue) THEN 'total'
            WHEN has_total AND revenue_amount IS NULL AND total_amount IS NOT NULL THEN 'total'
            WHEN has_revenue THEN 'revenue'
        END AS amount_said
    FROM (
        SELECT
            * EXCLUDE (said, amounts),
            coalesce(id_text(said[1]), id_text(said[2]), message_id) AS order_id,
            name IN ('Order Completed', 'Order Updated') AS placed,
            said[3] AS revenue,
            amounts[1] AS revenue_amount,
            coalesce(stated(said[3]), false) AS has_revenue,
            said[4] AS total,
            amounts[2] AS total_amount,
            coalesce(stated(said[4]), false) AS has_total,
            said[5] AS currency,
            said[6] AS product_list
        FROM (
            SELECT
                profile_id,
                message_id,
                occurred_at,
                sequence,
                channel,
                name,
                source,
                json_extract(
                    properties, ['$.order_id', '$.orderId', '$.revenue', '$.total', '$.currency', '$.products']
                ) AS said,
                list_transform(said[3:4], lambda value : money(value)) AS amounts
            FROM mart.fct_event
            WHERE type = 'track'
            AND name IN ('Order Completed', 'Order Updated', 'Order Refunded', 'Order Cancelled')
        )
    )
);
