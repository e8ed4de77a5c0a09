-- Purpose: in which identifier, trait or order of a customer a term of a search is, a whole value where there is one.
SELECT profile_id, first(found ORDER BY regexp_matches(value, $whole) DESC, found) AS found
FROM field
WHERE regexp_matches(value, $pattern)
GROUP BY profile_id;
