-- Purpose: raw.pages: page calls as people know them from Segment; one row an applied call.
-- Needs: raw.facts

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

COMMENT ON VIEW raw.pages IS 'Page calls, under Segment''s names';
COMMENT ON COLUMN raw.pages.id IS 'messageId of the call, or one made from its content';
COMMENT ON COLUMN raw.pages.user_id IS
    'User id the call named, normalized; NULL where it named none that could be used';
COMMENT ON COLUMN raw.pages.anonymous_id IS 'Anonymous id the call named; NULL where it named none that could be used';
COMMENT ON COLUMN raw.pages.timestamp IS
    'When it happened, UTC; corrected for clock skew where the call states sentAt and receivedAt';
COMMENT ON COLUMN raw.pages.received_at IS 'When Rapport accepted it, UTC; not the receivedAt that a call may state';
COMMENT ON COLUMN raw.pages.name IS 'Page name';
COMMENT ON COLUMN raw.pages.properties IS 'The call''s properties as they were sent, JSON';
COMMENT ON COLUMN raw.pages.channel IS
    'context.channel: web, mobile, email, chat, social, store, phone, support, survey, server, crm; else NULL';
COMMENT ON COLUMN raw.pages.context IS 'The call''s context as it was sent, JSON';
COMMENT ON COLUMN raw.pages.source IS 'What it came from: the name of a file, or stdin';
