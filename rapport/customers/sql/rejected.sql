-- Purpose: rejected input, newest first; all of it, or what has an id that starts like one of those given.
SELECT
    rejection_id AS id,
    strftime(rejected_at, '%Y-%m-%dT%H:%M:%SZ') AS rejected_at,
    source,
    stage,
    code,
    field,
    value,
    expectation,
    length,
    sha256,
    CASE WHEN $with_payload THEN payload END AS payload
FROM raw.rejected
WHERE $ids IS NULL OR list_bool_or(list_transform($ids, lambda id : starts_with(rejection_id, id)))
ORDER BY raw.rejected.rejected_at DESC, id
LIMIT $limit;
