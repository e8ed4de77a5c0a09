-- Purpose: what a search looks at of some customers, as people would name it; `names` says whether it is an identifier.
CREATE OR REPLACE TEMP TABLE field AS
SELECT profile_id, identifier_type || ':' || identifier_value AS found, identifier_value AS value, true AS names
FROM mart.bridge_identity
WHERE profile_id IN (SELECT profile_id FROM wanted)
UNION ALL
SELECT profile_id, trait.key || ' = ' || trait.value, trait.value, false
FROM (
    SELECT profile_id, unnest(map_entries(CAST(json_transform(traits, '"MAP(VARCHAR, VARCHAR)"') AS MAP(VARCHAR, VARCHAR)))) AS trait
    FROM mart.dim_customer
    WHERE profile_id IN (SELECT profile_id FROM wanted)
)
UNION ALL
SELECT profile_id, 'order ' || order_id, order_id, false
FROM mart.fct_order
WHERE profile_id IN (SELECT profile_id FROM wanted);
