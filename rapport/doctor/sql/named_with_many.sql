-- Purpose: identifiers that on one UTC day were named with more others of one type than their own type may, the worst day
-- of each. A day is that of occurred_at, so nothing depends on the order in which events came.
WITH named AS (
    SELECT DISTINCT CAST(occurred_at AS DATE) AS day, identifiers
    FROM raw.facts
    WHERE len(identifiers) > 1
),

firsts AS (
    SELECT day, identifiers, unnest(identifiers) AS key
    FROM named
),

pairs AS (
    SELECT day, key, unnest(identifiers) AS other
    FROM firsts
),

counted AS (
    SELECT
        key,
        day,
        left(key, strpos(key, ':') - 1) AS type,
        left(other, strpos(other, ':') - 1) AS other_type,
        count(DISTINCT other) AS others
    FROM pairs
    WHERE key <> other
    GROUP BY key, day, other_type
)

SELECT
    key,
    arg_max(strftime(day, '%Y-%m-%d'), (others, day)) AS day,
    arg_max(other_type, (others, day)) AS other_type,
    max(others) AS others
FROM counted
WHERE others > coalesce($limits[list_position($types, type)], $otherwise)
GROUP BY key
ORDER BY others DESC, key;
