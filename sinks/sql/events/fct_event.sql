-- Purpose: mart.fct_event: each applied event once, with the profile its identifier belongs to today.
-- A view, so that a merge or a split never rewrites a fact.
-- Needs: mart.bridge_identity, raw.facts

CREATE VIEW mart.fct_event AS
SELECT
    fact.message_id,
    fact.type,
    fact.name,
    fact.channel,
    fact.occurred_at,
    fact.received_at,
    fact.identifier_type,
    fact.identifier_value,
    bridge.profile_id,
    fact.properties,
    fact.traits,
    fact.context,
    fact.group_id,
    fact.category,
    fact.sent_at,
    fact.original_timestamp,
    fact.extra,
    fact.sequence,
    fact.source
FROM raw.facts AS fact
LEFT JOIN mart.bridge_identity AS bridge USING (identifier_type, identifier_value);

COMMENT ON VIEW mart.fct_event IS 'Every applied event once, with today''s profile of its identifier';
COMMENT ON COLUMN mart.fct_event.message_id IS 'messageId of the call, or one made from its content';
COMMENT ON COLUMN mart.fct_event.type IS 'track, identify, page, screen, group or alias';
COMMENT ON COLUMN mart.fct_event.name IS 'A track''s event name; a page''s or screen''s own name; else NULL';
COMMENT ON COLUMN mart.fct_event.channel IS
    'context.channel: web, mobile, email, chat, social, store, phone, support, survey, server, crm; else NULL';
COMMENT ON COLUMN mart.fct_event.occurred_at IS
    'When it happened, UTC; corrected for clock skew where the call states sentAt and receivedAt';
COMMENT ON COLUMN mart.fct_event.received_at IS
    'When Rapport accepted it, UTC; not the receivedAt that a call may state';
COMMENT ON COLUMN mart.fct_event.identifier_type IS
    'Type of the strongest identifier: user_id, email, phone, anonymous_id ...';
COMMENT ON COLUMN mart.fct_event.identifier_value IS 'Its normalized value';
COMMENT ON COLUMN mart.fct_event.profile_id IS 'Today''s profile of this identifier';
COMMENT ON COLUMN mart.fct_event.properties IS 'The call''s properties as they were sent, JSON';
COMMENT ON COLUMN mart.fct_event.traits IS 'The call''s traits as they were sent, JSON';
COMMENT ON COLUMN mart.fct_event.context IS 'The call''s context as it was sent, JSON';
COMMENT ON COLUMN mart.fct_event.group_id IS 'groupId, where the call states one';
COMMENT ON COLUMN mart.fct_event.category IS 'The call''s own category, as page calls have; else NULL';
COMMENT ON COLUMN mart.fct_event.sent_at IS 'sentAt of the call, UTC, by the sender''s clock; else NULL';
COMMENT ON COLUMN mart.fct_event.original_timestamp IS
    'originalTimestamp of the call, UTC, by the sender''s clock; else NULL';
COMMENT ON COLUMN mart.fct_event.extra IS
    'Fields of the call that no other column holds, as they were sent, JSON; NULL where there are none';
COMMENT ON COLUMN mart.fct_event.sequence IS
    'Its place in the file or batch it came in: the order of events of one instant; 0 where none is known';
COMMENT ON COLUMN mart.fct_event.source IS 'What it came from: the name of a file, or stdin';
