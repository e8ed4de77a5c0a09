-- Purpose: folded_order: what an order comes to: its amount, and what of it went back.
-- Needs: folded_refund, order_placement

CREATE TEMP TABLE folded_order AS
SELECT
    order_id,
    owner,
    order_placement.occurred_at,
    updated_at,
    placed,
    cancelled,
    -- What is stated and cannot be read is unknown, even where products beside it could be added up.
    CAST(
        CASE
            WHEN stated IS NOT NULL THEN stated.amount
            WHEN NOT any_unreadable(listed.products) THEN sum_of_values(listed.products)
        END AS DECIMAL(38, 6)
    ) AS revenue,
    CASE WHEN stated IS NOT NULL THEN stated.amount IS NULL ELSE any_unreadable(listed.products) END AS is_unreadable,
    cancelled OR coalesce(whole, false) AS undone,
    coalesce(refunded, 0) AS back,
    refunded_other,
    coalesce(order_placement.currency, folded_refund.currency) AS currency,
    listed.list AS products,
    coalesce(len(listed.products), 0) AS lines,
    coalesce(unreadable, 0) AS unreadable,
    coalesce(cut, false) AS cut
FROM order_placement
LEFT JOIN folded_refund USING (order_id);
