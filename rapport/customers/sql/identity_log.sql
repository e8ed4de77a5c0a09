-- Purpose: the newest identity decisions, of all customers or of those that named one identifier.
SELECT
    decision,
    kind,
    a,
    b,
    reason,
    message_id,
    strftime(decided_at, '%Y-%m-%dT%H:%M:%SZ') AS decided_at
FROM mart.fct_identity_decision
WHERE $key IS NULL OR $key IN (a, b) OR list_contains(moved, $key)
ORDER BY decided_at DESC, decision DESC
LIMIT $limit;
