-- Purpose: refund_line: what the order says that the products of a refund cost, where the refund does not say it.
-- The price of a product is the mean of the order's entries of it, weighted by their quantities.
-- Needs: order_placement, order_refund

CREATE TEMP TABLE refund_line AS
WITH line AS (
    SELECT order_id, message_id, unnest(lines, recursive := true)
    FROM order_refund
    WHERE kept AND len(lines) > 0
),
product AS (
    SELECT order_id, unnest(list_slice(listed.products, 1, 200), recursive := true)
    FROM order_placement
    WHERE order_id IN (SELECT order_id FROM line)
),
priced AS (
    SELECT order_id, key, CAST(sum(value) AS DECIMAL(38, 6)) AS value, sum(quantity) AS quantity
    FROM product
    WHERE value IS NOT NULL
    GROUP BY order_id, key
)
SELECT order_id, message_id, sum(share_of(priced.value, line.quantity, priced.quantity)) AS part
FROM line
JOIN priced USING (order_id, key)
GROUP BY order_id, message_id;
