-- Purpose: every decision that named one of these identifiers, in order, and what its event came from.
WITH made AS (
    SELECT decision, kind, a, b, reason, message_id, decided_at
    FROM mart.fct_identity_decision
    WHERE kind <> 'drop' AND (list_contains($keys, a) OR list_contains($keys, b))
),

origin AS (
    SELECT message_id, min(source) AS source
    FROM raw.facts
    WHERE message_id IN (SELECT message_id FROM made)
    GROUP BY message_id
)

SELECT
    decision,
    kind,
    a,
    b,
    reason,
    message_id,
    source,
    strftime(decided_at, '%Y-%m-%dT%H:%M:%SZ') AS decided_at
FROM made
LEFT JOIN origin USING (message_id)
ORDER BY decision;
