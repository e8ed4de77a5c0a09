-- Purpose: the names of all track events that were taken in.
SELECT DISTINCT name AS event
FROM raw.facts
WHERE type = 'track' AND name IS NOT NULL
ORDER BY event;
