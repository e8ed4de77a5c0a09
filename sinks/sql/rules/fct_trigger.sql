-- Purpose: mart.fct_trigger: what rules asked to be done, row by row.
-- Needs: raw.triggers

CREATE VIEW mart.fct_trigger AS
SELECT trigger_id, rule, version, profile_id, run_key, action, payload, fired_at, event_at
FROM raw.triggers;

COMMENT ON VIEW mart.fct_trigger IS 'Every trigger: what a rule asked to be done for a customer';
COMMENT ON COLUMN mart.fct_trigger.trigger_id IS 'Deterministic: receivers act once per id';
COMMENT ON COLUMN mart.fct_trigger.rule IS 'Rule name';
COMMENT ON COLUMN mart.fct_trigger.version IS 'Version of the rule that acted';
COMMENT ON COLUMN mart.fct_trigger.profile_id IS 'Customer at the time it fired';
COMMENT ON COLUMN mart.fct_trigger.run_key IS 'What tells the runs of one rule for one customer apart';
COMMENT ON COLUMN mart.fct_trigger.action IS 'send, alert or webhook';
COMMENT ON COLUMN mart.fct_trigger.payload IS 'What to do it with, JSON';
COMMENT ON COLUMN mart.fct_trigger.fired_at IS 'When the rule fired, UTC, by the clock of its run';
COMMENT ON COLUMN mart.fct_trigger.event_at IS 'occurred_at of the event that started the run, UTC';
