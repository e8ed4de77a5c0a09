-- Purpose: identifiers that have a profile and whose value this version may normalize or block: those that look like it.
SELECT identifier_type || ':' || identifier_value AS key
FROM mart.bridge_identity
WHERE
    (
        list_contains($emails, identifier_type)
        AND (
            contains(identifier_value, 'xn--')
            OR NOT regexp_full_match(identifier_value, '[a-z0-9!#$%&*+/=?^_{|}~.-]+@([a-z0-9-]+[.])+[a-z][a-z0-9-]*')
        )
    )
    OR regexp_matches(identifier_value, '^[0!-/:-@\[-`{-~]|[{%]')
    OR list_contains($blocked, lower(trim(identifier_value)))
ORDER BY key;
