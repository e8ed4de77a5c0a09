-- Purpose: what rules on trial (status: shadow) would have done for one customer, under any profile id that became theirs.
SELECT
    rule,
    run_key,
    detail,
    strftime(decided_at, '%Y-%m-%dT%H:%M:%SZ') AS decided_at,
    message_id
FROM mart.fct_rule_decision
WHERE verdict = 'shadow' AND list_contains($profile_ids, profile_id)
ORDER BY decided_at DESC, rule, run_key
LIMIT 20;
