-- Purpose: customer_traits: a profile's traits; per name the newest.
-- Most customers identify once: their traits need no folding.
-- Needs: customer_identify

CREATE TEMP TABLE customer_traits AS
SELECT profile_id, calls[1] AS traits
FROM customer_identify
WHERE len(calls) = 1
UNION ALL
SELECT profile_id, CAST(map_from_entries(list((name, value) ORDER BY name)) AS JSON) AS traits
FROM (
    SELECT call.profile_id, each.key AS name, arg_max(each.value, call.place) AS value
    FROM (
        SELECT profile_id, unnest(calls) AS traits, generate_subscripts(calls, 1) AS place
        FROM customer_identify
        WHERE len(calls) > 1
    ) AS call, json_each(call.traits) AS each
    GROUP BY call.profile_id, each.key
)
GROUP BY profile_id;
