-- Purpose: who has every term of a search, whole values first, then the last seen, and how many they are.
WITH best AS (
    SELECT profile_id, bool_and(whole) AS whole, any_value(found) AS found
    FROM (
        SELECT profile_id, term, bool_or(whole) AS whole, any_value(found) AS found
        FROM hit
        GROUP BY profile_id, term
    )
    GROUP BY profile_id
    HAVING count(*) = $terms
),

top AS MATERIALIZED (
    SELECT profile_id, whole, last_seen, found, count(*) OVER () AS of_all
    FROM best
    INNER JOIN mart.dim_customer USING (profile_id)
    ORDER BY whole DESC, last_seen DESC, profile_id
    LIMIT $limit
)

SELECT
    profile_id,
    coalesce('user_id:' || user_id, 'email:' || email, 'phone:' || phone) AS customer,
    coalesce(
        nullif(trim(concat_ws(' ', traits ->> '$.first_name', traits ->> '$.last_name')), ''),
        nullif(trim(concat_ws(' ', traits ->> '$.firstName', traits ->> '$.lastName')), ''),
        traits ->> '$.name',
        traits ->> '$.full_name'
    ) AS name,
    email,
    top.found,
    strftime(first_seen, '%Y-%m-%dT%H:%M:%SZ') AS first_seen,
    strftime(dim_customer.last_seen, '%Y-%m-%dT%H:%M:%SZ') AS last_seen,
    event_count,
    order_count,
    of_all
FROM top
INNER JOIN mart.dim_customer USING (profile_id)
ORDER BY whole DESC, top.last_seen DESC, profile_id;
