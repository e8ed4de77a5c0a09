-- Purpose: which of some identifiers events named together, from what source, how often and when last; then what joined
-- them without an event that names both: an alias, or somebody's request.
SELECT
    list_filter(identifiers, lambda key : list_contains($keys, key)) AS keys,
    source,
    count(*) AS times,
    strftime(max(occurred_at), '%Y-%m-%dT%H:%M:%SZ') AS newest_at
FROM raw.facts
WHERE list_has_any(identifiers, $keys)
GROUP BY keys, source
UNION ALL
SELECT
    [a, b],
    CASE reason WHEN 'requested' THEN 'a merge by hand' ELSE 'decision ' || decision END,
    0,
    strftime(decided_at, '%Y-%m-%dT%H:%M:%SZ')
FROM raw.identity
WHERE kind = 'merge' AND reason IN ('named_together', 'requested') AND list_contains($keys, a) AND list_contains($keys, b)
ORDER BY keys, source;
