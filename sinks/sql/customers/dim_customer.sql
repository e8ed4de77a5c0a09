-- Purpose: mart.dim_customer: one row a profile that has events, everything an analyst asks about a customer first.
-- Needs: customer_activity, customer_contact, customer_orders, customer_traits

CREATE TABLE mart.dim_customer AS
SELECT
    profile_id,
    customer_activity.first_seen,
    customer_activity.last_seen,
    customer_activity.event_count,
    coalesce(customer_orders.order_count, 0) AS order_count,
    CASE WHEN coalesce(customer_orders.order_count, 0) = 0 THEN 0 ELSE customer_orders.main[2] END AS revenue,
    coalesce(customer_orders.main[3], 0) AS refunded,
    revenue - refunded AS net_revenue,
    customer_orders.main[1] AS currency,
    customer_orders.revenue_by_currency,
    customer_orders.first_order_at,
    customer_orders.last_order_at,
    coalesce(customer_traits.traits, '{}') AS traits,
    customer_contact.email,
    customer_contact.phone,
    customer_contact.user_id,
    customer_contact.identifier_count,
    customer_activity.channels,
    customer_activity.first_channel,
    customer_activity.last_channel,
    customer_activity.last_event
FROM customer_activity
JOIN customer_contact USING (profile_id)
LEFT JOIN customer_traits USING (profile_id)
LEFT JOIN customer_orders USING (profile_id)
ORDER BY profile_id;

COMMENT ON TABLE mart.dim_customer IS 'One row a customer (a profile with at least one event)';
COMMENT ON COLUMN mart.dim_customer.profile_id IS 'Stable id of the profile';
COMMENT ON COLUMN mart.dim_customer.first_seen IS 'First occurred_at, UTC';
COMMENT ON COLUMN mart.dim_customer.last_seen IS 'Last occurred_at, UTC';
COMMENT ON COLUMN mart.dim_customer.event_count IS 'Applied events';
COMMENT ON COLUMN mart.dim_customer.order_count IS
    'Orders placed, in any currency; cancelled and refunded ones count, too';
COMMENT ON COLUMN mart.dim_customer.revenue IS
    'Order amounts in the main currency, before refunds; NULL where orders were placed and none states a known amount';
COMMENT ON COLUMN mart.dim_customer.refunded IS
    'Refunds and cancellations in the main currency, those of orders in other currencies, too';
COMMENT ON COLUMN mart.dim_customer.net_revenue IS 'revenue less refunded; NULL where revenue is';
COMMENT ON COLUMN mart.dim_customer.currency IS
    'Main currency: that of most orders, then of most revenue; NULL where none is stated';
COMMENT ON COLUMN mart.dim_customer.revenue_by_currency IS
    'Order amounts per currency, before refunds; the empty text stands for no currency; NULL where no amount is known';
COMMENT ON COLUMN mart.dim_customer.first_order_at IS 'First order placed, UTC';
COMMENT ON COLUMN mart.dim_customer.last_order_at IS 'Last order placed, UTC';
COMMENT ON COLUMN mart.dim_customer.traits IS 'Traits from identify calls, JSON; per name the newest';
COMMENT ON COLUMN mart.dim_customer.email IS 'E-mail address named last';
COMMENT ON COLUMN mart.dim_customer.phone IS 'Phone number named last, E.164';
COMMENT ON COLUMN mart.dim_customer.user_id IS 'User id named last';
COMMENT ON COLUMN mart.dim_customer.identifier_count IS 'How many identifiers belong to this profile';
COMMENT ON COLUMN mart.dim_customer.channels IS 'Channels used, in the order of their names';
COMMENT ON COLUMN mart.dim_customer.first_channel IS 'Channel of the first event; NULL where it states none';
COMMENT ON COLUMN mart.dim_customer.last_channel IS 'Channel of the last event; NULL where it states none';
COMMENT ON COLUMN mart.dim_customer.last_event IS 'Name, else type, of the last event';
