-- Purpose: mart.bridge_identity: every identifier that has a profile and which one today, after all merges and splits.
-- An identifier that was only ever named beside others, and refused, has none: mart.fct_identity_decision says why.

CREATE TEMP TABLE sighting AS
SELECT key, bool_or(own) AS own, min(first_at) AS first_at, max(last_at) AS last_at
FROM (
    SELECT unnest(identifiers) AS key, generate_subscripts(identifiers, 1) = 1 AS own, first_at, last_at
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
    arg_max(root, decision) FILTER (moved) AS root,
    arg_max(decided_at, decision) FILTER (moved) AS moved_at,
    min(decided_at) AS first_at
FROM (
    SELECT unnest(moved) AS key, true AS moved, root, decision, decided_at FROM raw.identity
    UNION ALL
    SELECT unnest([winner, loser]) AS key, false AS moved, NULL, decision, decided_at
    FROM raw.identity
    WHERE kind <> 'refuse'
)
GROUP BY key;

CREATE TEMP TABLE member AS
SELECT
    type_of(key) AS identifier_type,
    value_of(key) AS identifier_value,
    profile_id_of(coalesce(decided.root, key)) AS profile_id,
    coalesce(decided.moved_at, sighting.first_at, decided.first_at) AS linked_at,
    sighting.last_at
FROM sighting
FULL JOIN decided USING (key)
WHERE sighting.own OR decided.first_at IS NOT NULL;

CREATE TABLE mart.bridge_identity AS
SELECT identifier_type, identifier_value, profile_id, linked_at
FROM member
ORDER BY profile_id, identifier_type, identifier_value;
