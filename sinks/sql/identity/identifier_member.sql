-- Purpose: identifier_member: every identifier that has a profile, and when it was named last.
-- Needs: identifier_decision, identifier_sighting

CREATE TEMP TABLE identifier_member AS
SELECT
    type_of(key) AS identifier_type,
    value_of(key) AS identifier_value,
    profile_id_of(coalesce(identifier_decision.root, key)) AS profile_id,
    coalesce(identifier_decision.moved_at, identifier_sighting.first_at, identifier_decision.first_at) AS linked_at,
    identifier_sighting.last_at
FROM identifier_sighting
FULL JOIN identifier_decision USING (key)
WHERE identifier_sighting.own OR identifier_decision.first_at IS NOT NULL;
