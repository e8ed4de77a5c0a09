-- Purpose: raw.screens: screen calls as people know them from Segment; one row an applied call.
-- Needs: raw.facts

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

COMMENT ON VIEW raw.screens IS 'Screen calls, under Segment''s names';
COMMENT ON COLUMN raw.screens.id IS 'messageId of the call, or one made from its content';
COMMENT ON COLUMN raw.screens.user_id IS
    'User id the call named, normalized; NULL where it named none that could be used';
COMMENT ON COLUMN raw.screens.anonymous_id IS
    'Anonymous id the call named; NULL where it named none that could be used';
COMMENT ON COLUMN raw.screens.timestamp IS
    'When it happened, UTC; corrected for clock skew where the call states sentAt and receivedAt';
COMMENT ON COLUMN raw.screens.received_at IS 'When Rapport accepted it, UTC; not the receivedAt that a call may state';
COMMENT ON COLUMN raw.screens.name IS 'Screen name';
COMMENT ON COLUMN raw.screens.properties IS 'The call''s properties as they were sent, JSON';
COMMENT ON COLUMN raw.screens.channel IS
    'context.channel: web, mobile, email, chat, social, store, phone, support, survey, server, crm; else NULL';
COMMENT ON COLUMN raw.screens.context IS 'The call''s context as it was sent, JSON';
COMMENT ON COLUMN raw.screens.source IS 'What it came from: the name of a file, or stdin';
