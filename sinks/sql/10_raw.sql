-- Purpose: the six tables that people know from Segment, as views over raw.facts; one row an applied call.

CREATE MACRO raw.identifier_of(identifiers, wanted) AS
    substr(list_filter(identifiers, lambda key : starts_with(key, wanted || ':'))[1], length(wanted) + 2);

CREATE VIEW raw.tracks AS
SELECT
    message_id AS id,
    raw.identifier_of(identifiers, 'user_id') AS user_id,
    raw.identifier_of(identifiers, 'anonymous_id') AS anonymous_id,
    occurred_at AS timestamp,
    received_at,
    name AS event,
    properties,
    channel,
    context,
    source
FROM raw.facts
WHERE type = 'track';

CREATE VIEW raw.identifies AS
SELECT
    message_id AS id,
    raw.identifier_of(identifiers, 'user_id') AS user_id,
    raw.identifier_of(identifiers, 'anonymous_id') AS anonymous_id,
    occurred_at AS timestamp,
    received_at,
    traits,
    channel,
    context,
    source
FROM raw.facts
WHERE type = 'identify';

CREATE VIEW raw.pages AS
SELECT
    message_id AS id,
    raw.identifier_of(identifiers, 'user_id') AS user_id,
    raw.identifier_of(identifiers, 'anonymous_id') AS anonymous_id,
    occurred_at AS timestamp,
    received_at,
    name,
    properties,
    channel,
    context,
    source
FROM raw.facts
WHERE type = 'page';

CREATE VIEW raw.screens AS
SELECT
    message_id AS id,
    raw.identifier_of(identifiers, 'user_id') AS user_id,
    raw.identifier_of(identifiers, 'anonymous_id') AS anonymous_id,
    occurred_at AS timestamp,
    received_at,
    name,
    properties,
    channel,
    context,
    source
FROM raw.facts
WHERE type = 'screen';

CREATE VIEW raw.groups AS
SELECT
    message_id AS id,
    raw.identifier_of(identifiers, 'user_id') AS user_id,
    raw.identifier_of(identifiers, 'anonymous_id') AS anonymous_id,
    occurred_at AS timestamp,
    received_at,
    group_id,
    traits,
    channel,
    context,
    source
FROM raw.facts
WHERE type = 'group';

CREATE VIEW raw.aliases AS
SELECT
    message_id AS id,
    raw.identifier_of(identifiers, 'user_id') AS user_id,
    previous_id,
    occurred_at AS timestamp,
    received_at,
    channel,
    context,
    source
FROM raw.facts
WHERE type = 'alias';
