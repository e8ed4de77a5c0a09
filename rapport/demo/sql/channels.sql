-- Purpose: what came in, by channel.
WITH counted AS (
    SELECT coalesce(channel, 'none') AS channel, coalesce(name, type) AS name, count(*) AS times, list(DISTINCT profile_id) AS who
    FROM mart.fct_event
    GROUP BY ALL
)

SELECT
    channel,
    CAST(sum(times) AS BIGINT) AS events,
    len(list_distinct(flatten(list(who)))) AS customers,
    max((times, name))[2] AS mostly
FROM counted
GROUP BY channel
ORDER BY events DESC, channel;
