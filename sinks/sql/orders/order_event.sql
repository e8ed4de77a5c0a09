-- Purpose: order_event: what each event of an order states: amount, currency, products, and what of it is unreadable.
-- Needs: mart.fct_event

CREATE TEMP TABLE order_event AS
SELECT
    coalesce(id_text(said[1], '$'), id_text(said[2], '$'), message_id) AS order_id,
    profile_id,
    message_id,
    occurred_at,
    {'occurred_at': occurred_at, 'sequence': sequence, 'message_id': message_id} AS place,
    channel,
    name,
    source,
    name IN ('Order Completed', 'Order Updated') AS placed,
    amount_field IS NOT NULL AS has_amount,
    money(amount_field, '$') AS amount,
    coalesce(currency(said[5], '$'), code_in(amount_field, '$')) AS currency,
    -- An empty list says as little as none.
    CASE WHEN json_type(products) = 'ARRAY' AND json_array_length(products) > 0 THEN products END AS products,
    stated(products, '$') AND json_type(products) <> 'ARRAY' AS has_other_products,
    CASE WHEN name <> 'Order Cancelled' THEN
        list_concat(
            CASE WHEN stated(revenue, '$') AND money(revenue, '$') IS NULL
                THEN [{'field': 'revenue', 'value': revenue}]
            END,
            CASE WHEN stated(total, '$') AND money(total, '$') IS NULL THEN [{'field': 'total', 'value': total}] END,
            CASE
                WHEN json_type(products) = 'ARRAY'
                THEN list_transform(
                    list_filter(
                        json_extract(products, '$[*]'), lambda product : product_is_unreadable(product)
                    ),
                    lambda product : {'field': 'products', 'value': product}
                )
                WHEN stated(products, '$') THEN [{'field': 'products', 'value': products}]
            END
        )
    END AS unreadable
FROM (
    SELECT
        *,
        said[3] AS revenue,
        said[4] AS total,
        said[6] AS products,
        CASE
            -- A refund states itself as total; its revenue may be that of the order.
            WHEN name = 'Order Refunded' AND stated(said[4], '$') THEN said[4]
            WHEN name = 'Order Refunded' AND stated(said[3], '$') THEN said[3]
            WHEN name = 'Order Refunded' OR name = 'Order Cancelled' THEN NULL
            WHEN money(said[3], '$') IS NOT NULL THEN said[3]
            WHEN money(said[4], '$') IS NOT NULL THEN said[4]
            WHEN stated(said[3], '$') THEN said[3]
            WHEN stated(said[4], '$') THEN said[4]
        END AS amount_field
    FROM (
        SELECT
            *,
            json_extract(
                properties, ['$.order_id', '$.orderId', '$.revenue', '$.total', '$.currency', '$.products']
            ) AS said
        FROM mart.fct_event
        WHERE type = 'track'
        AND name IN ('Order Completed', 'Order Updated', 'Order Refunded', 'Order Cancelled')
    )
);
