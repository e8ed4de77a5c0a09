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
    CAST(CASE WHEN stated IS NOT NULL THEN stated.amount WHEN NOT has_unreadable THEN sum END AS DECIMAL(38, 6))
        AS revenue,
    CASE WHEN stated IS NOT NULL THEN stated.amount IS NULL ELSE has_unreadable END AS is_unreadable,
    cancelled OR coalesce(whole, false) AS undone,
    coalesce(refunded, 0) AS back,
    refunded_other,
    coalesce(order_placement.currency, folded_refund.currency) AS currency,
    products,
    coalesce(unreadable, 0) AS unreadable,
    coalesce(cut, false) AS cut
FROM (
    SELECT
        *,
        products_money(json_extract(products, '$[*]')) AS sum,
        coalesce(
            list_bool_or(
                list_transform(json_extract(products, '$[*]'), lambda product : product_is_unreadable(product))
            ),
            false
        ) AS has_unreadable
    FROM order_placement
) AS order_placement
LEFT JOIN folded_refund USING (order_id);
