-- Purpose: customer_activity: a profile's first, last and number of events, and its channels.
-- Needs: mart.bridge_identity, raw.facts

CREATE TEMP TABLE customer_activity AS
SELECT
    profile_id,
    min(first_seen) AS first_seen,
    max(last_seen) AS last_seen,
    CAST(sum(event_count) AS BIGINT) AS event_count,
    list_sort(list_distinct(list(channel))) AS channels,
    arg_min_null(channel, first_moment) AS first_channel,
    arg_max_null(channel, last_moment) AS last_channel,
    arg_max(last_event, last_moment) AS last_event
FROM (
    SELECT
        identifier_type,
        identifier_value,
        channel,
        min(occurred_at) AS first_seen,
        max(occurred_at) AS last_seen,
        count(*) AS event_count,
        min(moment(occurred_at, sequence, message_id)) AS first_moment,
        max(moment(occurred_at, sequence, message_id)) AS last_moment,
        arg_max(coalesce(name, type), moment(occurred_at, sequence, message_id)) AS last_event
    FROM raw.facts
    GROUP BY identifier_type, identifier_value, channel
)
JOIN mart.bridge_identity USING (identifier_type, identifier_value)
GROUP BY profile_id;
