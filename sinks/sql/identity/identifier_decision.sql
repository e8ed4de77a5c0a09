-- Purpose: identifier_decision: where the linker's newest decision put each identifier.
-- Needs: raw.identity

CREATE TEMP TABLE identifier_decision AS
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
