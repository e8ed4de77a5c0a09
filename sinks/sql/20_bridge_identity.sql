-- Purpose: mart.bridge_identity: every identifier ever seen and whose it is today, after all merges and splits.

CREATE TEMP TABLE sighting AS
SELECT key, min(first_at) AS first_at, max(last_at) AS last_at
FROM (
    SELECT unnest(identifiers) AS key, first_at, last_at
    FROM (
        SELECT identifiers, min(occurred_at) AS first_at, max(occurred_at) AS last_at
        FROM raw.facts
        GROUP BY identifiers
    )
)
GROUP BY key;

CREATE TEMP TABLE decided AS
SELECT
    key,
    arg_max(root, decision) FILTER (kind <> 'refuse') AS root,
    arg_max(decided_at, decision) FILTER (kind <> 'refuse') AS moved_at,
    min(decided_at) AS first_at
FROM (
    SELECT unnest(moved) AS key, kind, root, decision, decided_at FROM raw.identity
    UNION ALL
    SELECT unnest([a, b, winner, loser, root]) AS key, 'refuse' AS kind, NULL, decision, decided_at FROM raw.identity
)
WHERE key <> ''
GROUP BY key;

CREATE TEMP TABLE member AS
SELECT
    type_of(key) AS identifier_type,
    value_of(key) AS identifier_value,
    profile_id_of(coalesce(decided.root, key)) AS profile_id,
    coalesce(decided.moved_at, sighting.first_at, decided.first_at) AS linked_at,
    sighting.last_at
FROM sighting
FULL JOIN decided USING (key);

CREATE TABLE mart.bridge_identity AS
SELECT identifier_type, identifier_value, profile_id, linked_at
FROM member
ORDER BY profile_id, identifier_type, identifier_value;
