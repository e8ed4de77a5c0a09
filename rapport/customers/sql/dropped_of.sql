-- Purpose: how often, why and where some identifiers were named and not used; keys are compared without case.
WITH named AS (
    SELECT
        json_extract_string(each.value, '$.type') || ':'
        || trim(json_extract_string(each.value, '$.value')) AS identifier,
        json_extract_string(each.value, '$.reason') AS reason,
        fact.source,
        fact.message_id,
        fact.received_at AS named_at
    FROM raw.facts AS fact, json_each(fact.dropped) AS each
    WHERE fact.dropped IS NOT NULL
    UNION ALL
    SELECT field || ':' || trim(value), code, source, NULL, rejected.rejected_at
    FROM raw.rejected AS rejected
    WHERE code = 'no_identifier'
)

SELECT
    identifier,
    reason,
    count(*) AS times,
    source,
    arg_max(message_id, named_at) AS message_id,
    strftime(max(named_at), '%Y-%m-%dT%H:%M:%SZ') AS newest_at
FROM named
WHERE list_contains(list_transform($keys, lambda key : lower(key)), lower(identifier))
GROUP BY identifier, reason, source
ORDER BY times DESC, identifier, reason, source;
