-- Purpose: what came in, by channel.
SELECT
    coalesce(channel, 'none') AS channel,
    count(*) AS events,
    count(DISTINCT profile_id) AS customers,
    mode(coalesce(name, type)) AS mostly
FROM mart.fct_event
GROUP BY ALL
ORDER BY events DESC, channel;
