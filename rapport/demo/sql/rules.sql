-- Purpose: which rules fired, and for how many customers.
SELECT
    rule,
    count(*) FILTER (WHERE verdict = 'fired') AS fired,
    count(*) FILTER (WHERE verdict <> 'fired') AS otherwise,
    count(DISTINCT profile_id) AS customers
FROM mart.fct_rule_decision
GROUP BY ALL
ORDER BY fired DESC, rule;
