-- Purpose: say what raw.decisions holds. The publisher itself makes it: a view over the topic's Parquet files.

COMMENT ON VIEW raw.decisions IS 'Every rule decision as stored in Parquet; mart.fct_rule_decision shows it';
COMMENT ON COLUMN raw.decisions.rule IS 'Rule name';
COMMENT ON COLUMN raw.decisions.version IS 'Version of the rule that acted';
COMMENT ON COLUMN raw.decisions.profile_id IS 'Customer at the time of the decision';
COMMENT ON COLUMN raw.decisions.run_key IS 'What tells the runs of one rule for one customer apart';
COMMENT ON COLUMN raw.decisions.message_id IS 'The event that started the run';
COMMENT ON COLUMN raw.decisions.verdict IS
    'fired, shadow, repeated, missed, before_active, full or unusable; `detail` says it in words';
COMMENT ON COLUMN raw.decisions.detail IS 'Why, in words';
COMMENT ON COLUMN raw.decisions.decided_at IS 'When it was decided, UTC, by the clock of its run';
