-- Purpose: rejected input, newest first; all of it, or what ids or beginnings of ids name, or what has one cause. `short`
-- is an id that nothing else has: most ids are a digest and which of the equal inputs it was.
WITH
    known AS (
        SELECT
            *,
            regexp_replace(rejection_id, '^([0-9a-f]{8})[0-9a-f]{24}-', '\1-') AS brief,
            concat_ws(':', code, nullif(regexp_replace(field, '\.[0-9]+\b', '.*', 'g'), '')) AS cause
        FROM mart.fct_rejected
    ),

    shared AS (
        SELECT brief
        FROM (SELECT DISTINCT rejection_id, brief FROM known)
        GROUP BY brief
        HAVING count(*) > 1
    ),

    named AS (
        SELECT
            *,
            CASE WHEN brief IN (FROM shared) THEN rejection_id ELSE brief END AS short
        FROM known
    )

SELECT
    rejection_id AS id,
    short,
    strftime(rejected_at, '%Y-%m-%dT%H:%M:%SZ') AS rejected_at,
    source,
    stage,
    code,
    field,
    value,
    expectation,
    payload_length AS length,
    payload_sha256 AS sha256,
    CASE WHEN $with_payload THEN payload_bytes END AS payload
FROM named
WHERE
    ($ids IS NULL OR list_bool_or(list_transform($ids, lambda id : id = short OR starts_with(rejection_id, id))))
    AND ($cause IS NULL OR cause = $cause OR starts_with(cause, $cause || ':'))
ORDER BY named.rejected_at DESC, id
LIMIT $limit;
