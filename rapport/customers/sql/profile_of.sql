-- Purpose: identifiers of whoever has a profile id today, or else ($born) that may have been born with it. Each identifier was
-- born with a profile id of its own, as schemas/keys.py makes it, so one that a merge has given up is known for ever.
SELECT profile_id, key
FROM (SELECT profile_id, identifier_type || ':' || identifier_value AS key FROM mart.bridge_identity)
WHERE CASE
    WHEN $born THEN left(sha1(from_hex('7d9d3c1e52c65f0e9a530f6a5d1f7c21') || encode(key)), 8) = left($id, 8)
    ELSE profile_id = $id
END
ORDER BY key;
