-- Purpose: identifiers in quarantine.
SELECT a AS key
FROM raw.identity
WHERE kind IN ('quarantine', 'release')
GROUP BY a
HAVING arg_max(kind, decision) = 'quarantine';
