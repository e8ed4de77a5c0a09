-- Purpose: every decision that named one of these identifiers, in order.
SELECT
    decision,
    kind,
    a,
    b,
    reason,
    message_id,
    strftime(decided_at, '%Y-%m-%dT%H:%M:%SZ') AS decided_at
FROM mart.fct_identity_decision
WHERE kind <> 'drop' AND (list_contains($keys, a) OR list_contains($keys, b))
ORDER BY decision;
