-- Purpose: who has one term of a search in an identifier, a trait value or the id of an order. $pattern is for values, $quoted
-- for a JSON text that has such a value in it, $whole for values of which the term is all, one a line.
INSERT INTO hit
SELECT profile_id, $term, bool_or(whole), NULL
FROM (
    SELECT profile_id, regexp_matches(identifier_value, $whole) AS whole
    FROM mart.bridge_identity
    WHERE regexp_matches(identifier_value, $pattern)
    UNION ALL
    SELECT profile_id, regexp_matches(trait_values, $whole)
    FROM (
        SELECT profile_id, array_to_string(traits ->> '$.*', chr(10)) AS trait_values
        FROM mart.dim_customer
        WHERE regexp_matches(CAST(traits AS VARCHAR), $quoted)
    )
    WHERE regexp_matches(trait_values, $pattern)
    UNION ALL
    SELECT profile_id, regexp_matches(order_id, $whole)
    FROM mart.fct_order
    WHERE regexp_matches(order_id, $pattern)
)
GROUP BY profile_id;
