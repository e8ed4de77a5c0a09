-- Purpose: say in the database what the raw tables and columns are; `rapport query --tables` shows it.

COMMENT ON VIEW raw.facts IS 'Every applied call, once, as stored in Parquet';
COMMENT ON COLUMN raw.facts.message_id IS 'messageId of the call, or one made from its content';
COMMENT ON COLUMN raw.facts.type IS 'track, identify, page, screen, group or alias';
COMMENT ON COLUMN raw.facts.name IS 'A track''s event name; a page''s or screen''s own name; else NULL';
COMMENT ON COLUMN raw.facts.channel IS
    'context.channel: web, mobile, email, chat, social, store, phone, support, survey, server, crm';
COMMENT ON COLUMN raw.facts.occurred_at IS 'When it happened, UTC, corrected for clock skew';
COMMENT ON COLUMN raw.facts.received_at IS 'When Rapport accepted it, UTC';
COMMENT ON COLUMN raw.facts.identifier_type IS
    'Type of the strongest identifier: user_id, email, phone, anonymous_id ...';
COMMENT ON COLUMN raw.facts.identifier_value IS 'Its normalized value';
COMMENT ON COLUMN raw.facts.identifiers IS 'Keys (type:value) of every identifier used, the strongest first';
COMMENT ON COLUMN raw.facts.properties IS 'The call''s properties as they were sent, JSON';
COMMENT ON COLUMN raw.facts.traits IS 'The call''s traits as they were sent, JSON';
COMMENT ON COLUMN raw.facts.context IS 'The call''s context as it was sent, JSON';
COMMENT ON COLUMN raw.facts.group_id IS 'groupId of a group call';
COMMENT ON COLUMN raw.facts.previous_id IS 'previousId of an alias call';
COMMENT ON COLUMN raw.facts.source IS 'Where it came from: a file, an import, a write key';
COMMENT ON COLUMN raw.facts.dropped IS
    'Identifiers not used and why, JSON: [{type, value, reason}]; NULL where all were used';

COMMENT ON VIEW raw.triggers IS 'Every trigger as stored in Parquet; mart.fct_trigger shows it';
COMMENT ON COLUMN raw.triggers.trigger_id IS 'Deterministic: receivers act once per id';
COMMENT ON COLUMN raw.triggers.rule IS 'Rule name';
COMMENT ON COLUMN raw.triggers.version IS 'Version of the rule that acted';
COMMENT ON COLUMN raw.triggers.profile_id IS 'Customer at the time it fired';
COMMENT ON COLUMN raw.triggers.run_key IS 'What tells the runs of one rule for one customer apart';
COMMENT ON COLUMN raw.triggers.action IS 'send, alert or webhook';
COMMENT ON COLUMN raw.triggers.payload IS 'What to do it with, JSON';
COMMENT ON COLUMN raw.triggers.fired_at IS 'When the rule fired, UTC, by the clock of its run';
COMMENT ON COLUMN raw.triggers.event_at IS 'occurred_at of the event that started the run, UTC';

COMMENT ON VIEW raw.decisions IS 'Every rule decision as stored in Parquet; mart.fct_rule_decision shows it';
COMMENT ON COLUMN raw.decisions.rule IS 'Rule name';
COMMENT ON COLUMN raw.decisions.version IS 'Version of the rule that acted';
COMMENT ON COLUMN raw.decisions.profile_id IS 'Customer at the time of the decision';
COMMENT ON COLUMN raw.decisions.run_key IS 'What tells the runs of one rule for one customer apart';
COMMENT ON COLUMN raw.decisions.message_id IS 'The event that led to it';
COMMENT ON COLUMN raw.decisions.verdict IS
    'fired, shadow (would have), repeated (this run key has fired before) or missed (reopened too late)';
COMMENT ON COLUMN raw.decisions.detail IS 'Why, in words';
COMMENT ON COLUMN raw.decisions.decided_at IS 'When it was decided, UTC, by the clock of its run';

COMMENT ON VIEW raw.identity IS
    'Every decision of the linker as stored in Parquet; mart.fct_identity_decision shows it';
COMMENT ON COLUMN raw.identity.decision IS 'Number, in order';
COMMENT ON COLUMN raw.identity.kind IS 'merge, refuse or split';
COMMENT ON COLUMN raw.identity.a IS 'Identifier key that was asked about';
COMMENT ON COLUMN raw.identity.b IS 'The other one';
COMMENT ON COLUMN raw.identity.winner IS 'Root key that holds the profile afterwards';
COMMENT ON COLUMN raw.identity.loser IS 'Root key that was absorbed, refused or left';
COMMENT ON COLUMN raw.identity.moved IS 'Keys whose profile changed';
COMMENT ON COLUMN raw.identity.root IS 'Root key they belong to now; empty after a refusal';
COMMENT ON COLUMN raw.identity.reason IS 'Why';
COMMENT ON COLUMN raw.identity.message_id IS 'The event that named both; empty after a command';
COMMENT ON COLUMN raw.identity.decided_at IS 'When it was decided, UTC';

COMMENT ON VIEW raw.rejected IS 'Every refused input as stored in Parquet; mart.fct_rejected shows it readably';
COMMENT ON COLUMN raw.rejected.rejected_at IS 'When it was refused, UTC';
COMMENT ON COLUMN raw.rejected.stage IS 'accept or identify';
COMMENT ON COLUMN raw.rejected.code IS 'Error code: see the documentation';
COMMENT ON COLUMN raw.rejected.field IS 'Where in the input; empty for the whole';
COMMENT ON COLUMN raw.rejected.value IS 'The offending value, shortened';
COMMENT ON COLUMN raw.rejected.expectation IS 'What would have been accepted';
COMMENT ON COLUMN raw.rejected.source IS 'Where it came from';
COMMENT ON COLUMN raw.rejected.payload IS 'The original bytes; above 64 KiB their beginning';
COMMENT ON COLUMN raw.rejected.length IS 'Length of the whole original in bytes';
COMMENT ON COLUMN raw.rejected.sha256 IS 'Of the whole original; empty where payload is whole';
COMMENT ON COLUMN raw.rejected.rejection_id IS 'From the content: the same refusal twice is here once';

COMMENT ON TABLE raw.publication IS 'What this file was published from';
COMMENT ON COLUMN raw.publication.topic IS 'Topic';
COMMENT ON COLUMN raw.publication.partition IS 'Its partition';
COMMENT ON COLUMN raw.publication.next_offset IS 'First offset not included';
COMMENT ON COLUMN raw.publication.compactions IS 'Compaction rounds so far';
COMMENT ON COLUMN raw.publication.lake IS 'Folder of the Parquet files that the views read';

COMMENT ON VIEW raw.tracks IS 'Track calls, under Segment''s names';
COMMENT ON COLUMN raw.tracks.id IS 'messageId of the call, or one made from its content';
COMMENT ON COLUMN raw.tracks.user_id IS
    'User id the call named, normalized; NULL where it named none that could be used';
COMMENT ON COLUMN raw.tracks.anonymous_id IS 'Anonymous id the call named; NULL where it named none that could be used';
COMMENT ON COLUMN raw.tracks.timestamp IS 'When it happened, UTC, corrected for clock skew';
COMMENT ON COLUMN raw.tracks.received_at IS 'When Rapport accepted it, UTC';
COMMENT ON COLUMN raw.tracks.event IS 'Event name';
COMMENT ON COLUMN raw.tracks.properties IS 'The call''s properties as they were sent, JSON';
COMMENT ON COLUMN raw.tracks.channel IS
    'context.channel: web, mobile, email, chat, social, store, phone, support, survey, server, crm';
COMMENT ON COLUMN raw.tracks.context IS 'The call''s context as it was sent, JSON';
COMMENT ON COLUMN raw.tracks.source IS 'Where it came from: a file, an import, a write key';

COMMENT ON VIEW raw.identifies IS 'Identify calls, under Segment''s names';
COMMENT ON COLUMN raw.identifies.id IS 'messageId of the call, or one made from its content';
COMMENT ON COLUMN raw.identifies.user_id IS
    'User id the call named, normalized; NULL where it named none that could be used';
COMMENT ON COLUMN raw.identifies.anonymous_id IS
    'Anonymous id the call named; NULL where it named none that could be used';
COMMENT ON COLUMN raw.identifies.timestamp IS 'When it happened, UTC, corrected for clock skew';
COMMENT ON COLUMN raw.identifies.received_at IS 'When Rapport accepted it, UTC';
COMMENT ON COLUMN raw.identifies.traits IS 'The call''s traits as they were sent, JSON';
COMMENT ON COLUMN raw.identifies.channel IS
    'context.channel: web, mobile, email, chat, social, store, phone, support, survey, server, crm';
COMMENT ON COLUMN raw.identifies.context IS 'The call''s context as it was sent, JSON';
COMMENT ON COLUMN raw.identifies.source IS 'Where it came from: a file, an import, a write key';

COMMENT ON VIEW raw.pages IS 'Page calls, under Segment''s names';
COMMENT ON COLUMN raw.pages.id IS 'messageId of the call, or one made from its content';
COMMENT ON COLUMN raw.pages.user_id IS
    'User id the call named, normalized; NULL where it named none that could be used';
COMMENT ON COLUMN raw.pages.anonymous_id IS 'Anonymous id the call named; NULL where it named none that could be used';
COMMENT ON COLUMN raw.pages.timestamp IS 'When it happened, UTC, corrected for clock skew';
COMMENT ON COLUMN raw.pages.received_at IS 'When Rapport accepted it, UTC';
COMMENT ON COLUMN raw.pages.name IS 'Page name';
COMMENT ON COLUMN raw.pages.properties IS 'The call''s properties as they were sent, JSON';
COMMENT ON COLUMN raw.pages.channel IS
    'context.channel: web, mobile, email, chat, social, store, phone, support, survey, server, crm';
COMMENT ON COLUMN raw.pages.context IS 'The call''s context as it was sent, JSON';
COMMENT ON COLUMN raw.pages.source IS 'Where it came from: a file, an import, a write key';

COMMENT ON VIEW raw.screens IS 'Screen calls, under Segment''s names';
COMMENT ON COLUMN raw.screens.id IS 'messageId of the call, or one made from its content';
COMMENT ON COLUMN raw.screens.user_id IS
    'User id the call named, normalized; NULL where it named none that could be used';
COMMENT ON COLUMN raw.screens.anonymous_id IS
    'Anonymous id the call named; NULL where it named none that could be used';
COMMENT ON COLUMN raw.screens.timestamp IS 'When it happened, UTC, corrected for clock skew';
COMMENT ON COLUMN raw.screens.received_at IS 'When Rapport accepted it, UTC';
COMMENT ON COLUMN raw.screens.name IS 'Screen name';
COMMENT ON COLUMN raw.screens.properties IS 'The call''s properties as they were sent, JSON';
COMMENT ON COLUMN raw.screens.channel IS
    'context.channel: web, mobile, email, chat, social, store, phone, support, survey, server, crm';
COMMENT ON COLUMN raw.screens.context IS 'The call''s context as it was sent, JSON';
COMMENT ON COLUMN raw.screens.source IS 'Where it came from: a file, an import, a write key';

COMMENT ON VIEW raw.groups IS 'Group calls, under Segment''s names';
COMMENT ON COLUMN raw.groups.id IS 'messageId of the call, or one made from its content';
COMMENT ON COLUMN raw.groups.user_id IS
    'User id the call named, normalized; NULL where it named none that could be used';
COMMENT ON COLUMN raw.groups.anonymous_id IS 'Anonymous id the call named; NULL where it named none that could be used';
COMMENT ON COLUMN raw.groups.timestamp IS 'When it happened, UTC, corrected for clock skew';
COMMENT ON COLUMN raw.groups.received_at IS 'When Rapport accepted it, UTC';
COMMENT ON COLUMN raw.groups.group_id IS 'groupId of a group call';
COMMENT ON COLUMN raw.groups.traits IS 'The call''s traits as they were sent, JSON';
COMMENT ON COLUMN raw.groups.channel IS
    'context.channel: web, mobile, email, chat, social, store, phone, support, survey, server, crm';
COMMENT ON COLUMN raw.groups.context IS 'The call''s context as it was sent, JSON';
COMMENT ON COLUMN raw.groups.source IS 'Where it came from: a file, an import, a write key';

COMMENT ON VIEW raw.aliases IS 'Alias calls, under Segment''s names';
COMMENT ON COLUMN raw.aliases.id IS 'messageId of the call, or one made from its content';
COMMENT ON COLUMN raw.aliases.user_id IS
    'User id the call named, normalized; NULL where it named none that could be used';
COMMENT ON COLUMN raw.aliases.previous_id IS 'previousId of an alias call';
COMMENT ON COLUMN raw.aliases.timestamp IS 'When it happened, UTC, corrected for clock skew';
COMMENT ON COLUMN raw.aliases.received_at IS 'When Rapport accepted it, UTC';
COMMENT ON COLUMN raw.aliases.channel IS
    'context.channel: web, mobile, email, chat, social, store, phone, support, survey, server, crm';
COMMENT ON COLUMN raw.aliases.context IS 'The call''s context as it was sent, JSON';
COMMENT ON COLUMN raw.aliases.source IS 'Where it came from: a file, an import, a write key';
