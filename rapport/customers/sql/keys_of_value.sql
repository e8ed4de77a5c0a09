-- Purpose: the identifiers that are one of some values, of whatever type.
SELECT identifier_type || ':' || identifier_value AS key
FROM mart.bridge_identity
WHERE identifier_value IN (SELECT unnest($values))
ORDER BY key;
