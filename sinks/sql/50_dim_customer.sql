-- Purpose: mart.dim_customer: one row a profile that has events, everything an analyst asks about a customer first.

-- A number that orders events by time and parts events of one instant by their ids, as fast to compare as a number.
CREATE TEMP MACRO moment(occurred_at, message_id) AS
    CAST(epoch_us(occurred_at) AS HUGEINT) * 18446744073709551616 + hash(message_id);

CREATE TEMP TABLE activity AS
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
        min(moment(occurred_at, message_id)) AS first_moment,
        max(moment(occurred_at, message_id)) AS last_moment,
        arg_max(coalesce(name, type), moment(occurred_at, message_id)) AS last_event
    FROM raw.facts
    GROUP BY identifier_type, identifier_value, channel
)
JOIN mart.bridge_identity USING (identifier_type, identifier_value)
GROUP BY profile_id;

CREATE TEMP TABLE identified AS
SELECT profile_id, list(traits ORDER BY occurred_at, message_id) AS calls
FROM mart.fct_event
WHERE type = 'identify' AND json_type(traits) = 'OBJECT'
GROUP BY profile_id;

-- Most customers identify once: their traits need no folding.
CREATE TEMP TABLE trait AS
SELECT profile_id, calls[1] AS traits
FROM identified
WHERE len(calls) = 1
UNION ALL
SELECT profile_id, CAST(map_from_entries(list((name, value) ORDER BY name)) AS JSON) AS traits
FROM (
    SELECT call.profile_id, each.key AS name, arg_max(each.value, call.place) AS value
    FROM (
        SELECT profile_id, unnest(calls) AS traits, generate_subscripts(calls, 1) AS place
        FROM identified
        WHERE len(calls) > 1
    ) AS call, json_each(call.traits) AS each
    GROUP BY call.profile_id, each.key
)
GROUP BY profile_id;

-- Of several identifiers of one type the last one sighted stands for the customer.
CREATE TEMP TABLE contact AS
SELECT
    profile_id,
    CAST(count(*) AS INTEGER) AS identifier_count,
    arg_max(identifier_value, (last_at, identifier_value)) FILTER (identifier_type = 'user_id') AS user_id,
    arg_max(identifier_value, (last_at, identifier_value)) FILTER (identifier_type = 'email') AS email,
    arg_max(identifier_value, (last_at, identifier_value)) FILTER (identifier_type = 'phone') AS phone
FROM member
GROUP BY profile_id;

-- The main currency is the one of most orders, then of most revenue, then the first by name.
CREATE TEMP TABLE purse AS
SELECT
    profile_id,
    CAST(sum(orders) AS INTEGER) AS order_count,
    arg_max((currency, revenue, refunded), (orders, revenue, rank)) AS main,
    map_from_entries(list((coalesce(currency, ''), revenue) ORDER BY currency)) AS revenue_by_currency,
    min(first_order_at) AS first_order_at,
    max(last_order_at) AS last_order_at
FROM (
    SELECT
        profile_id,
        currency,
        count(*) FILTER (status <> 'unplaced') AS orders,
        sum(revenue) AS revenue,
        sum(refunded) AS refunded,
        min(occurred_at) FILTER (status <> 'unplaced') AS first_order_at,
        max(occurred_at) FILTER (status <> 'unplaced') AS last_order_at,
        -rank() OVER (PARTITION BY profile_id ORDER BY currency) AS rank
    FROM mart.fct_order
    GROUP BY profile_id, currency
)
GROUP BY profile_id;

CREATE TABLE mart.dim_customer AS
SELECT
    profile_id,
    activity.first_seen,
    activity.last_seen,
    activity.event_count,
    coalesce(purse.order_count, 0) AS order_count,
    coalesce(purse.main[2], 0) AS revenue,
    coalesce(purse.main[3], 0) AS refunded,
    coalesce(purse.main[2] - purse.main[3], 0) AS net_revenue,
    purse.main[1] AS currency,
    purse.revenue_by_currency,
    purse.first_order_at,
    purse.last_order_at,
    coalesce(trait.traits, '{}') AS traits,
    contact.email,
    contact.phone,
    contact.user_id,
    contact.identifier_count,
    activity.channels,
    activity.first_channel,
    activity.last_channel,
    activity.last_event
FROM activity
JOIN contact USING (profile_id)
LEFT JOIN trait USING (profile_id)
LEFT JOIN purse USING (profile_id)
ORDER BY profile_id;
