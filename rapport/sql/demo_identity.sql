-- Purpose: what identity resolution decided, and why.
SELECT kind, coalesce(reason, '') AS reason, count(*) AS times, min(a) AS example, min_by(b, a) AS with_
FROM mart.fct_identity_decision
GROUP BY ALL
ORDER BY times DESC, kind, reason;
