-- Purpose: the customers who brought in most, refunds taken off.
SELECT
    customer.user_id,
    json_extract_string(customer.traits, '$.first_name') || ' ' || json_extract_string(customer.traits, '$.last_name') AS name,
    customer.order_count AS orders,
    CAST(customer.revenue AS DECIMAL(18, 2)) AS revenue,
    CAST(customer.refunded AS DECIMAL(18, 2)) AS refunded,
    customer.currency,
    customer.event_count AS events,
    customer.identifier_count AS identifiers
FROM mart.dim_customer AS customer
WHERE customer.user_id IS NOT NULL
ORDER BY customer.net_revenue DESC, customer.user_id
LIMIT 5;
