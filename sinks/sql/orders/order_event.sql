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
    CASE amount_said WHEN 'revenue' THEN revenue_says.amount WHEN 'total' THEN total_says.amount END AS amount,
    coalesce(
        currency_in(currency),
        CASE amount_said WHEN 'revenue' THEN revenue_says.code WHEN 'total' THEN total_says.code END
    ) AS currency,
    CASE
        WHEN len(entries) > 0
        THEN products_of(entries, amounts[3:2 + len(entries)], amounts[3 + len(entries):])
    END AS products,
    product_list,
    json_type(product_list) <> 'ARRAY' AND stated(product_list) AS has_other_products,
    revenue,
    -- An empty text in a refund that says nothing else may have meant a part as well as nothing.
    name = 'Order Refunded'
    AND amount_said IS NULL
    AND products IS NULL
    AND NOT coalesce(has_other_products, false)
    AND coalesce('VARCHAR' IN (json_type(revenue), json_type(total), json_type(product_list)), false) AS is_blank,
    revenue_says.stated AND revenue_says.amount IS NULL AS revenue_is_unreadable,
    total,
    total_says.stated AND total_says.amount IS NULL AS total_is_unreadable
FROM (
    SELECT
        *,
        CASE
            WHEN name = 'Order Cancelled' THEN NULL
            -- A refund states itself as total; its revenue may be that of the order.
            WHEN total_says.stated AND (name = 'Order Refunded' OR NOT revenue_says.stated) THEN 'total'
            WHEN total_says.stated AND revenue_says.amount IS NULL AND total_says.amount IS NOT NULL THEN 'total'
            WHEN revenue_says.stated THEN 'revenue'
        END AS amount_said
    FROM (
        SELECT
            *,
            coalesce(id_text(said[1]), id_text(said[2]), message_id) AS order_id,
            name IN ('Order Completed', 'Order Updated') AS placed,
            said[3] AS revenue,
            amounts[1] AS revenue_says,
            said[4] AS total,
            amounts[2] AS total_says,
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
                -- An empty list says as little as none.
                CASE
                    WHEN json_type(said[6]) = 'ARRAY'
                    THEN json_transform(
                        nullif(said[6], '[]'),
                        '[{"product_id": "JSON", "sku": "JSON", "price": "JSON", "quantity": "JSON"}]'
                    )
                END AS entries,
                amounts_in(
                    list_concat(
                        said[3:4],
                        list_transform(entries, lambda entry : entry.price),
                        list_transform(entries, lambda entry : entry.quantity)
                    )
                ) AS amounts
            FROM mart.fct_event
            WHERE type = 'track'
            AND name IN ('Order Completed', 'Order Updated', 'Order Refunded', 'Order Cancelled')
        )
    )
);
