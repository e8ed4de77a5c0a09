-- Purpose: order_placement: what the events of one order id say of it, refunds left aside.
-- An order says only what its events say: amount, currency and products are each the newest that a placement states. An
-- order id that two customers used is one order here, of whoever placed it last; each profile shows what it saw.
-- Needs: order_event

CREATE TEMP TABLE order_placement AS
SELECT
    order_id,
    arg_max((profile_id, channel), (placed, place)) AS owner,
    arg_max({'amount': amount}, place) FILTER (placed AND has_amount) AS stated,
    arg_max(currency, place) FILTER (placed AND currency IS NOT NULL) AS currency,
    arg_max({'list': product_list, 'products': products}, place) FILTER (placed AND products IS NOT NULL) AS listed,
    coalesce(
        min(occurred_at) FILTER (name = 'Order Completed'), min(occurred_at) FILTER (placed), min(occurred_at)
    ) AS occurred_at,
    max(occurred_at) AS updated_at,
    bool_or(placed) AS placed,
    bool_or(name = 'Order Cancelled') AS cancelled
FROM order_event
GROUP BY order_id;
