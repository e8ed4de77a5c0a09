-- Purpose: the newest triggers of one customer, under any profile id that became this customer's.
SELECT
    rule,
    action,
    run_key,
    payload,
    strftime(fired_at, '%Y-%m-%dT%H:%M:%SZ') AS fired_at,
    trigger_id
FROM mart.fct_trigger
WHERE list_contains($profile_ids, profile_id)
ORDER BY fired_at DESC, trigger_id
LIMIT 20;
