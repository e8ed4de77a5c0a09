-- Purpose: say what raw.facts holds. The publisher itself makes it: a view over the topic's Parquet files.

COMMENT ON VIEW raw.facts IS 'Every applied call, once, as stored in Parquet';
COMMENT ON COLUMN raw.facts.message_id IS 'messageId of the call, or one made from its content';
COMMENT ON COLUMN raw.facts.type IS 'track, identify, page, screen, group or alias';
COMMENT ON COLUMN raw.facts.name IS 'A track''s event name; a page''s or screen''s own name; else NULL';
COMMENT ON COLUMN raw.facts.channel IS
    'context.channel: web, mobile, email, chat, social, store, phone, support, survey, server, crm; else NULL';
COMMENT ON COLUMN raw.facts.occurred_at IS
    'When it happened, UTC; corrected for clock skew where the call states sentAt and receivedAt';
COMMENT ON COLUMN raw.facts.received_at IS 'When Rapport accepted it, UTC; not the receivedAt that a call may state';
COMMENT ON COLUMN raw.facts.identifier_type IS
    'Type of the strongest identifier: user_id, email, phone, anonymous_id ...';
COMMENT ON COLUMN raw.facts.identifier_value IS 'Its normalized value';
COMMENT ON COLUMN raw.facts.identifiers IS 'Keys (type:value) of every identifier used, the strongest first';
COMMENT ON COLUMN raw.facts.properties IS 'The call''s properties as they were sent, JSON';
COMMENT ON COLUMN raw.facts.traits IS 'The call''s traits as they were sent, JSON';
COMMENT ON COLUMN raw.facts.context IS 'The call''s context as it was sent, JSON';
COMMENT ON COLUMN raw.facts.group_id IS 'groupId, where the call states one';
COMMENT ON COLUMN raw.facts.previous_id IS 'previousId of an alias call, where it could be used';
COMMENT ON COLUMN raw.facts.source IS 'What it came from: the name of a file, or stdin';
COMMENT ON COLUMN raw.facts.sequence IS
    'Its place in the file or batch it came in: the order of events of one instant; 0 where none is known';
COMMENT ON COLUMN raw.facts.category IS 'The call''s own category, as page calls have; else NULL';
COMMENT ON COLUMN raw.facts.sent_at IS 'sentAt of the call, UTC, by the sender''s clock; else NULL';
COMMENT ON COLUMN raw.facts.original_timestamp IS
    'originalTimestamp of the call, UTC, by the sender''s clock; else NULL';
COMMENT ON COLUMN raw.facts.extra IS
    'Fields of the call that no other column holds, as they were sent, JSON; NULL where there are none';
COMMENT ON COLUMN raw.facts.dropped IS
    'Identifiers not used and why, JSON: [{type, value, reason}]; NULL where all were used';
