-- Purpose: mart.bridge_identity: every identifier that has a profile and which one today, after all merges and splits.
-- An identifier that was only named beside others and never linked has none: mart.fct_identity_decision says why.
-- Needs: identifier_member

CREATE TABLE mart.bridge_identity AS
SELECT identifier_type, identifier_value, profile_id, linked_at
FROM identifier_member
ORDER BY profile_id, identifier_type, identifier_value;

COMMENT ON TABLE mart.bridge_identity IS
    'Every identifier that has a profile, and which one today; one only named beside others, never linked, has none';
COMMENT ON COLUMN mart.bridge_identity.identifier_type IS 'user_id, email, phone, anonymous_id ...';
COMMENT ON COLUMN mart.bridge_identity.identifier_value IS 'Normalized value';
COMMENT ON COLUMN mart.bridge_identity.profile_id IS 'Today''s profile';
COMMENT ON COLUMN mart.bridge_identity.linked_at IS
    'When it came to this profile, UTC: its newest merge or split, else when it was first named';
