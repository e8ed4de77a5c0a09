-- Purpose: customer_identify: the traits of a profile's identify calls, the oldest first.
-- Needs: mart.fct_event

CREATE TEMP TABLE customer_identify AS
SELECT profile_id, list(traits ORDER BY occurred_at, sequence, message_id) AS calls
FROM mart.fct_event
WHERE type = 'identify' AND json_type(traits) = 'OBJECT'
GROUP BY profile_id;
