-- Purpose: mart.fct_rule_decision: what rules decided, row by row.
-- Needs: raw.decisions

CREATE VIEW mart.fct_rule_decision AS
SELECT rule, version, profile_id, run_key, message_id, verdict, detail, decided_at
FROM raw.decisions;

COMMENT ON VIEW mart.fct_rule_decision IS 'What rules decided, one row a matched run';
COMMENT ON COLUMN mart.fct_rule_decision.rule IS 'Rule name';
COMMENT ON COLUMN mart.fct_rule_decision.version IS 'Version of the rule that acted';
COMMENT ON COLUMN mart.fct_rule_decision.profile_id IS 'Customer at the time of the decision';
COMMENT ON COLUMN mart.fct_rule_decision.run_key IS 'What tells the runs of one rule for one customer apart';
COMMENT ON COLUMN mart.fct_rule_decision.message_id IS 'The event that started the run';
COMMENT ON COLUMN mart.fct_rule_decision.verdict IS
    'fired, shadow, repeated, missed, before_active, full or unusable; `detail` says it in words';
COMMENT ON COLUMN mart.fct_rule_decision.detail IS 'Why, in words';
COMMENT ON COLUMN mart.fct_rule_decision.decided_at IS 'When it was decided, UTC, by the clock of its run';
