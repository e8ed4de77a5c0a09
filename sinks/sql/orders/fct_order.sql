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
        WHEN undone OR (back > 0 AND back >= revenue) THEN 'refunded'
        WHEN back > 0 OR refunded_other IS NOT NULL THEN 'partly_refunded'
        ELSE 'completed'
    END AS status,
    revenue,
    CASE
        WHEN undone AND revenue IS NULL THEN nullif(back, 0)
        WHEN undone THEN greatest(revenue, back)
        ELSE back
    END AS refunded,
    refunded_other,
    currency,
    CAST(lines AS INTEGER) AS lines,
    owner[2] AS channel,
    products,
    CAST(unreadable + CAST(is_unreadable AS INTEGER) AS INTEGER) AS unreadable,
    cut AS refunds_cut
FROM folded_order
ORDER BY profile_id, occurred_at, order_id;

COMMENT ON TABLE mart.fct_order IS 'One row an order id, from Order Completed, Updated, Refunded and Cancelled';
COMMENT ON COLUMN mart.fct_order.order_id IS
    'properties.order_id, else orderId, where it is a text or a whole number; else the message id';
COMMENT ON COLUMN mart.fct_order.profile_id IS
    'Today''s profile of the newest placement; where it is unplaced, of the newest event';
COMMENT ON COLUMN mart.fct_order.occurred_at IS
    'When it was placed, UTC: its first Order Completed, else its first Order Updated, else its first event';
COMMENT ON COLUMN mart.fct_order.updated_at IS 'Its newest event, UTC';
COMMENT ON COLUMN mart.fct_order.status IS
    'completed, partly_refunded, refunded, cancelled, or unplaced: no Order Completed or Updated was seen';
COMMENT ON COLUMN mart.fct_order.revenue IS
    'Its amount: the newest revenue, else total, that a placement states, else the newest sum of products; NULL where '
    'none was stated or it cannot be read, so take sum(revenue) - sum(refunded), not sum(revenue - refunded)';
COMMENT ON COLUMN mart.fct_order.refunded IS
    'Refunds in its currency, summed up; at least the whole amount where it was cancelled, or refunded without an '
    'amount or products; NULL where that is the whole of an unknown amount';
COMMENT ON COLUMN mart.fct_order.refunded_other IS 'Refunds in other currencies, JSON: amount by currency; else NULL';
COMMENT ON COLUMN mart.fct_order.currency IS
    'Newest currency that a placement states, else that of the first refund that states one';
COMMENT ON COLUMN mart.fct_order.lines IS 'Number of product lines of the newest list';
COMMENT ON COLUMN mart.fct_order.channel IS
    'Channel of the newest placement; where it is unplaced, of the newest event';
COMMENT ON COLUMN mart.fct_order.products IS 'Product lines of the newest placement that has some, JSON';
COMMENT ON COLUMN mart.fct_order.unreadable IS
    'Its amount and its refunds that are stated and cannot be read; mart.data_quality lists them';
COMMENT ON COLUMN mart.fct_order.refunds_cut IS
    'Whether it has more than 200 refunds, or products that refunds name; then refunded may be too small';
