-- Purpose: what identity resolution decided, and why, with one example each.
SELECT
    kind,
    coalesce(reason, '') AS reason,
    count(*) AS times,
    min((a, coalesce(b, '')))[1] AS example,
    min((a, coalesce(b, '')))[2] AS with_
FROM mart.fct_identity_decision
GROUP BY ALL
ORDER BY times DESC, kind, reason;
