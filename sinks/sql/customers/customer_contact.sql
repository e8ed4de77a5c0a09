-- Purpose: customer_contact: the identifiers a customer is reached by; of several of one type the one named last.
-- Needs: identifier_member

CREATE TEMP TABLE customer_contact AS
SELECT
    profile_id,
    CAST(count(*) AS INTEGER) AS identifier_count,
    arg_max(identifier_value, (last_at, identifier_value)) FILTER (identifier_type = 'user_id') AS user_id,
    arg_max(identifier_value, (last_at, identifier_value)) FILTER (identifier_type = 'email') AS email,
    arg_max(identifier_value, (last_at, identifier_value)) FILTER (identifier_type = 'phone') AS phone
FROM identifier_member
GROUP BY profile_id;
