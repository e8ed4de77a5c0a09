-- Purpose: the customer with the most to tell: many identifiers and channels, a rule that fired, a loyalty card.
SELECT customer.user_id
FROM mart.dim_customer AS customer
INNER JOIN mart.bridge_identity AS bridge USING (profile_id)
WHERE customer.user_id IS NOT NULL
GROUP BY customer.profile_id, customer.user_id, customer.order_count
ORDER BY
    count(*) FILTER (WHERE bridge.identifier_type = 'loyalty_card') DESC,
    (SELECT count(DISTINCT trigger.rule) FROM mart.fct_trigger AS trigger WHERE trigger.profile_id = customer.profile_id) DESC,
    count(*) DESC,
    customer.order_count DESC,
    customer.user_id
LIMIT 1;
