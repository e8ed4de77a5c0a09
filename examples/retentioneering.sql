-- One event per click of the "retentioneering" sample shop: user_id, session_id, event, timestamp and four descriptions.
--
--     rapport import retentioneering_ecom.csv.gz --sql examples/retentioneering.sql
--
-- The rows have no id of their own and some are equal. Each still counts once, because a message id is made from the
-- row's content and its ordinal among equal rows; importing the file again within a week changes nothing.
-- The file's own session is kept as a property, so that sessions computed from the times can be compared with it.
SELECT
    'track' AS type,
    event,
    user_id,
    "timestamp",
    {session_id: session_id, user_cohort: user_cohort, user_lifecycle: user_lifecycle} AS properties,
    {
        channel: 'web',
        device: {type: platform},
        campaign: {source: acquisition_channel}
    } AS context
FROM source
ORDER BY "timestamp", user_id
