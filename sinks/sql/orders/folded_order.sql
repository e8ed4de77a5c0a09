-- Purpose: folded_order: the events of one order id folded into one row.
-- The rules are those of the profile: the newest placement states amount and currency, refunds add up. An order id that
-- two customers used is one order here, of whoever placed it last; each profile goes on showing what it saw.
-- Needs: order_event

CREATE TEMP TABLE folded_order AS
SELECT
    order_id,
    arg_max((profile_id, channel), (placed, occurred_at, message_id)) AS owner,
    arg_max((amount, currency, products), (occurred_at, message_id)) FILTER (placed) AS stated,
    arg_max(coalesce(currency, ''), message_id) AS refund_currency,
    coalesce(min(occurred_at) FILTER (placed), min(occurred_at)) AS occurred_at,
    max(occurred_at) AS updated_at,
    bool_or(placed) AS placed,
    bool_or(name = 'Order Cancelled') AS cancelled,
    bool_or(NOT placed AND amount IS NULL) AS undone,
    coalesce(sum(abs(amount)) FILTER (NOT placed), 0) AS partly
FROM order_event
GROUP BY order_id;
