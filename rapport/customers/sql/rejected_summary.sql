-- Purpose: rejected input by cause, the most frequent first: how much, from when to when, and the newest as an example.
WITH
    known AS (
        SELECT
            *,
            regexp_replace(rejection_id, '^([0-9a-f]{8})[0-9a-f]{24}-', '\1-') AS brief,
            concat_ws(':', code, nullif(regexp_replace(field, '\.[0-9]+\b', '.*', 'g'), '')) AS cause
        FROM mart.fct_rejected
    ),

    counted AS (
        SELECT
            cause,
            count(*) AS times,
            count(DISTINCT source) AS sources,
            min(rejected_at) AS first_at,
            max(rejected_at) AS last_at,
            max_by(
                {id: rejection_id, short: brief, source: source, field: field, value: value, expectation: expectation},
                {age: rejected_at, id: rejection_id}
            ) AS example
        FROM known
        GROUP BY cause
    )

SELECT
    cause,
    times AS count,
    sources,
    strftime(first_at, '%Y-%m-%dT%H:%M:%SZ') AS first,
    strftime(last_at, '%Y-%m-%dT%H:%M:%SZ') AS last,
    CASE
        WHEN EXISTS (SELECT 1 FROM known WHERE brief = example.short AND rejection_id <> example.id)
            THEN struct_update(example, short := example.id)
        ELSE example
    END AS example
FROM counted
ORDER BY times DESC, cause;
