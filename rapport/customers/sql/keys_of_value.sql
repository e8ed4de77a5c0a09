-- Purpose: the identifiers that are one of some values, of whatever type.
SELECT identifier_type || ':' || identifier_value AS key
FROM mart.bridge_identity
WHERE list_contains($values, identifier_value)
ORDER BY key;
