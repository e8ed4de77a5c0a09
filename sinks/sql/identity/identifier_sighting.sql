-- Purpose: identifier_sighting: when each identifier was named, and whether an event was its own.
-- Needs: raw.facts

CREATE TEMP TABLE identifier_sighting AS
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
