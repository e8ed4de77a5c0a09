-- Purpose: customer_orders: a profile's orders summed up by currency; amounts that are not known are in no sum.
-- The main currency is the one of most orders, then of most revenue, then the first by name.
-- Needs: mart.fct_order

CREATE TEMP TABLE customer_orders AS
WITH money AS (
    SELECT profile_id, currency, status <> 'unplaced' AS placed, revenue, refunded, occurred_at
    FROM mart.fct_order
    UNION ALL
    SELECT profile_id, other.key, false, NULL, CAST(other.value ->> '$' AS DECIMAL(38, 6)), NULL
    FROM mart.fct_order, json_each(refunded_other) AS other
)
SELECT
    profile_id,
    CAST(sum(orders) AS INTEGER) AS order_count,
    arg_max((currency, revenue, refunded), (orders, coalesce(revenue, 0), rank)) AS main,
    map_from_entries(
        list((coalesce(currency, ''), revenue) ORDER BY currency) FILTER (revenue IS NOT NULL)
    ) AS revenue_by_currency,
    min(first_order_at) AS first_order_at,
    max(last_order_at) AS last_order_at
FROM (
    SELECT
        profile_id,
        currency,
        count(*) FILTER (placed) AS orders,
        sum(revenue) AS revenue,
        coalesce(sum(refunded), 0) AS refunded,
        min(occurred_at) FILTER (placed) AS first_order_at,
        max(occurred_at) FILTER (placed) AS last_order_at,
        -rank() OVER (PARTITION BY profile_id ORDER BY currency) AS rank
    FROM money
    GROUP BY profile_id, currency
)
GROUP BY profile_id;
