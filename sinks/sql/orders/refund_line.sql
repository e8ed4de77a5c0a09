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
    SELECT order_id, unnest(list_slice(json_extract(products, '$[*]'), 1, 200)) AS product
    FROM order_placement
    WHERE order_id IN (SELECT order_id FROM line)
),
priced AS (
    SELECT
        order_id,
        product_key(product) AS key,
        CAST(sum(product_money(product)) AS DECIMAL(38, 6)) AS value,
        sum(quantity_of(product)) AS quantity
    FROM product
    WHERE product_money(product) IS NOT NULL
    GROUP BY ALL
)
SELECT order_id, message_id, sum(share_of(priced.value, line.quantity, priced.quantity)) AS part
FROM line
JOIN priced USING (order_id, key)
GROUP BY order_id, message_id;
