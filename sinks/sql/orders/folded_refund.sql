-- Purpose: folded_refund: the refunds of an order summed up, those in another currency than its own apart.
-- An order without a currency has that of its first refund that states one. What the order prices is in its currency.
-- Needs: order_placement, order_refund, refund_line

CREATE TEMP TABLE folded_refund AS
WITH refund AS (
    SELECT
        order_id,
        order_refund.currency AS stated_currency,
        coalesce(
            order_placement.currency,
            first_value(order_refund.currency IGNORE NULLS) OVER (
                PARTITION BY order_id
                ORDER BY order_refund.occurred_at, message_id
                ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
            )
        ) AS currency,
        coalesce(order_refund.part, 0) AS own,
        coalesce(refund_line.part, 0) AS priced,
        whole,
        unreadable,
        order_refund.cut OR (len(lines) > 0 AND len(order_placement.listed.products) > 200) AS cut
    FROM order_refund
    JOIN order_placement USING (order_id)
    LEFT JOIN refund_line USING (order_id, message_id)
    WHERE kept
),
other AS (
    SELECT order_id, CAST('{' || string_agg(member, ',' ORDER BY member) || '}' AS JSON) AS refunded_other
    FROM (
        SELECT
            order_id,
            '"' || stated_currency || '":' || regexp_replace(CAST(sum(abs(own)) AS VARCHAR), '[.]?0*$', '') AS member
        FROM refund
        WHERE stated_currency <> currency
        GROUP BY order_id, stated_currency
        HAVING sum(abs(own)) > 0
    )
    GROUP BY order_id
)
SELECT
    order_id,
    any_value(currency) AS currency,
    CAST(sum(CASE WHEN stated_currency <> currency THEN abs(priced) ELSE abs(own + priced) END) AS DECIMAL(38, 6))
        AS refunded,
    any_value(refunded_other) AS refunded_other,
    bool_or(whole) AS whole,
    count(*) FILTER (unreadable) AS unreadable,
    coalesce(bool_or(cut), false) OR order_id IN (SELECT order_id FROM order_refund WHERE NOT kept) AS cut
FROM refund
LEFT JOIN other USING (order_id)
GROUP BY order_id;
