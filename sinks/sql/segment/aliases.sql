-- Purpose: raw.aliases: alias calls as people know them from Segment; one row an applied call.
-- Needs: raw.facts

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

COMMENT ON VIEW raw.aliases IS 'Alias calls, under Segment''s names';
COMMENT ON COLUMN raw.aliases.id IS 'messageId of the call, or one made from its content';
COMMENT ON COLUMN raw.aliases.user_id IS
    'User id the call named, normalized; NULL where it named none that could be used';
COMMENT ON COLUMN raw.aliases.previous_id IS 'previousId of the call, where it could be used';
COMMENT ON COLUMN raw.aliases.timestamp IS
    'When it happened, UTC; corrected for clock skew where the call states sentAt and receivedAt';
COMMENT ON COLUMN raw.aliases.received_at IS 'When Rapport accepted it, UTC; not the receivedAt that a call may state';
COMMENT ON COLUMN raw.aliases.channel IS
    'context.channel: web, mobile, email, chat, social, store, phone, support, survey, server, crm; else NULL';
COMMENT ON COLUMN raw.aliases.context IS 'The call''s context as it was sent, JSON';
COMMENT ON COLUMN raw.aliases.source IS 'What it came from: the name of a file, or stdin';
