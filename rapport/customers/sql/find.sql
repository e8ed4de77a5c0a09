-- Purpose: customers who have a text in an identifier or a trait value; whole values first, then the last seen.
WITH hits AS (
    SELECT profile_id, identifier_type || ':' || identifier_value AS found, lower(identifier_value) = lower($text) AS whole
    FROM mart.bridge_identity
    WHERE contains(lower(identifier_value), lower($text)) OR profile_id = lower($text)
    UNION ALL
    SELECT profile_id, trait.key || ' = ' || trait.value AS found, lower(trait.value) = lower($text) AS whole
    FROM (
        SELECT profile_id, unnest(map_entries(CAST(json_transform(traits, '"MAP(VARCHAR, VARCHAR)"') AS MAP(VARCHAR, VARCHAR)))) AS trait
        FROM mart.dim_customer
        WHERE contains(lower(CAST(traits AS VARCHAR)), lower(trim(CAST(to_json($text) AS VARCHAR), '"')))
    )
    WHERE contains(lower(trait.value), lower($text))
),

best AS (
    SELECT profile_id, bool_or(whole) AS whole, first(found ORDER BY whole DESC, found) AS found
    FROM hits
    GROUP BY profile_id
)

SELECT
    customer.profile_id,
    coalesce(
        'user_id:' || customer.user_id,
        'email:' || customer.email,
        'phone:' || customer.phone,
        (
            SELECT first(identifier_type || ':' || identifier_value ORDER BY identifier_type, identifier_value)
            FROM mart.bridge_identity AS bridge
            WHERE bridge.profile_id = customer.profile_id
        )
    ) AS customer,
    best.found,
    strftime(customer.first_seen, '%Y-%m-%dT%H:%M:%SZ') AS first_seen,
    strftime(customer.last_seen, '%Y-%m-%dT%H:%M:%SZ') AS last_seen,
    customer.event_count,
    customer.order_count
FROM best
INNER JOIN mart.dim_customer AS customer USING (profile_id)
ORDER BY best.whole DESC, customer.last_seen DESC, customer.profile_id
LIMIT $limit;
