-- Purpose: the last events of one customer with all they said, the newest first.
SELECT
    strftime(occurred_at, '%Y-%m-%dT%H:%M:%SZ') AS at,
    type,
    name,
    channel,
    identifier_type || ':' || identifier_value AS identifier,
    properties,
    traits,
    message_id,
    source
FROM raw.facts
WHERE list_contains($keys, identifier_type || ':' || identifier_value)
ORDER BY occurred_at DESC, sequence DESC, message_id
LIMIT $limit;
