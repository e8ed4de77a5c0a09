-- Purpose: raw.tracks: track calls as people know them from Segment; one row an applied call.
-- Needs: raw.facts

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

COMMENT ON VIEW raw.tracks IS 'Track calls, under Segment''s names';
COMMENT ON COLUMN raw.tracks.id IS 'messageId of the call, or one made from its content';
COMMENT ON COLUMN raw.tracks.user_id IS
    'User id the call named, normalized; NULL where it named none that could be used';
COMMENT ON COLUMN raw.tracks.anonymous_id IS 'Anonymous id the call named; NULL where it named none that could be used';
COMMENT ON COLUMN raw.tracks.timestamp IS
    'When it happened, UTC; corrected for clock skew where the call states sentAt and receivedAt';
COMMENT ON COLUMN raw.tracks.received_at IS 'When Rapport accepted it, UTC; not the receivedAt that a call may state';
COMMENT ON COLUMN raw.tracks.event IS 'Event name';
COMMENT ON COLUMN raw.tracks.properties IS 'The call''s properties as they were sent, JSON';
COMMENT ON COLUMN raw.tracks.channel IS
    'context.channel: web, mobile, email, chat, social, store, phone, support, survey, server, crm; else NULL';
COMMENT ON COLUMN raw.tracks.context IS 'The call''s context as it was sent, JSON';
COMMENT ON COLUMN raw.tracks.source IS 'What it came from: the name of a file, or stdin';
