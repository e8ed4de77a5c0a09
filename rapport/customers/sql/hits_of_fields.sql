-- Purpose: who of those looked at closer has one term of a search.
INSERT INTO hit
SELECT profile_id, $term, bool_or(regexp_matches(value, $whole)), NULL
FROM field
WHERE regexp_matches(value, $pattern)
GROUP BY profile_id;
