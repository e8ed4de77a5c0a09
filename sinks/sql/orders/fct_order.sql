-- Purpose: mart.fct_order: one row an order id, refunds and cancellations netted in `refunded`.
-- Needs: folded_order

CREATE TABLE mart.fct_order AS
SELECT
    order_id,
    owner[1] AS profile_id,
    occurred_at,
    updated_at,
    CASE
        WHEN NOT placed THEN 'unplaced'
        WHEN cancelled THEN 'cancelled'
        WHEN undone OR (partly > 0 AND partly >= coalesce(stated[1], 0)) THEN 'refunded'
        WHEN partly > 0 THEN 'partly_refunded'
        ELSE 'completed'
    END AS status,
    coalesce(stated[1], 0) AS revenue,
    CASE WHEN undone THEN greatest(coalesce(stated[1], 0), partly) ELSE partly END AS refunded,
    CASE WHEN placed THEN stated[2] ELSE nullif(refund_currency, '') END AS currency,
    CAST(coalesce(json_array_length(stated[3]), 0) AS INTEGER) AS lines,
    owner[2] AS channel,
    stated[3] AS products
FROM folded_order
ORDER BY profile_id, occurred_at, order_id;

COMMENT ON TABLE mart.fct_order IS 'One row an order id, from Order Completed, Updated, Refunded and Cancelled';
COMMENT ON COLUMN mart.fct_order.order_id IS
    'properties.order_id, where it is a text or a whole number; else the message id';
COMMENT ON COLUMN mart.fct_order.profile_id IS
    'Today''s profile of the newest placement; where it is unplaced, of the newest event';
COMMENT ON COLUMN mart.fct_order.occurred_at IS 'When it was first placed, UTC; where it is unplaced, its first event';
COMMENT ON COLUMN mart.fct_order.updated_at IS 'Its newest event, UTC';
COMMENT ON COLUMN mart.fct_order.status IS
    'completed, partly_refunded, refunded, cancelled, or unplaced: no Order Completed or Updated was seen';
COMMENT ON COLUMN mart.fct_order.revenue IS
    'Amount by its newest placement: revenue, else total, else the sum of products; 0 where it states none';
COMMENT ON COLUMN mart.fct_order.refunded IS
    'Refunds summed up; at least the whole amount where it was cancelled or refunded without an amount';
COMMENT ON COLUMN mart.fct_order.currency IS 'Currency of the newest placement; where it is unplaced, of a refund';
COMMENT ON COLUMN mart.fct_order.lines IS 'Number of product lines of the newest placement';
COMMENT ON COLUMN mart.fct_order.channel IS
    'Channel of the newest placement; where it is unplaced, of the newest event';
COMMENT ON COLUMN mart.fct_order.products IS 'Product lines of the newest placement, JSON';
