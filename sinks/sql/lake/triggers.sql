-- Purpose: say what raw.triggers holds. The publisher itself makes it: a view over the topic's Parquet files.

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
