-- Purpose: customer_orders: a profile's orders summed up by currency.
-- The main currency is the one of most orders, then of most revenue, then the first by name.
-- Needs: mart.fct_order

CREATE TEMP TABLE customer_orders AS
SELECT
    profile_id,
    CAST(sum(orders) AS INTEGER) AS order_count,
    arg_max((currency, revenue, refunded), (orders, revenue, rank)) AS main,
    map_from_entries(list((coalesce(currency, ''), revenue) ORDER BY currency)) AS revenue_by_currency,
    min(first_order_at) AS first_order_at,
    max(last_order_at) AS last_order_at
FROM (
    SELECT
        profile_id,
        currency,
        count(*) FILTER (status <> 'unplaced') AS orders,
        sum(revenue) AS revenue,
        sum(refunded) AS refunded,
        min(occurred_at) FILTER (status <> 'unplaced') AS first_order_at,
        max(occurred_at) FILTER (status <> 'unplaced') AS last_order_at,
        -rank() OVER (PARTITION BY profile_id ORDER BY currency) AS rank
    FROM mart.fct_order
    GROUP BY profile_id, currency
)
GROUP BY profile_id;
