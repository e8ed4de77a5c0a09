-- Purpose: order_refund: each refund of an order once, the first 200, with what it states: an amount, products, or all.
-- `part` has its sign; `lines` are the products that the order prices, of the first 200. The refunds of an order may
-- have 200 such lines together; who has more is cut there.
-- Needs: order_event

CREATE TEMP TABLE order_refund AS
SELECT
    order_id,
    message_id,
    occurred_at,
    currency,
    NOT has_amount AND products IS NULL AND NOT coalesce(has_other_products, false) AND NOT is_blank AS whole,
    CASE WHEN has_amount THEN amount ELSE sum_of_values(listed) END AS part,
    lines,
    CASE
        WHEN has_amount THEN amount IS NULL
        ELSE is_blank OR coalesce(has_other_products, false) OR any_unreadable(listed)
    END AS unreadable,
    number <= 200 AND line_number <= 200 AS kept,
    NOT has_amount AND coalesce(len(products) > 200, false) AS cut
FROM (
    SELECT
        *,
        row_number() OVER in_order AS number,
        sum(coalesce(len(lines), 0)) OVER (in_order ROWS UNBOUNDED PRECEDING) AS line_number
    FROM (
        SELECT
            *,
            CASE WHEN NOT has_amount THEN list_slice(products, 1, 200) END AS listed,
            list_filter(
                listed,
                lambda product : product.key IS NOT NULL AND product.value IS NULL AND NOT product.unreadable
            ) AS lines
        FROM order_event
        WHERE name = 'Order Refunded'
        QUALIFY row_number() OVER (PARTITION BY order_id, message_id ORDER BY place) = 1
    )
    WINDOW in_order AS (PARTITION BY order_id ORDER BY occurred_at, message_id)
);
