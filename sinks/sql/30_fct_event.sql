-- Purpose: mart.fct_event: each applied event once, with the profile its identifier belongs to today.
-- A view, so that a merge or a split never rewrites a fact.

CREATE VIEW mart.fct_event AS
SELECT
    fact.message_id,
    fact.type,
    fact.name,
    fact.channel,
    fact.occurred_at,
    fact.received_at,
    fact.identifier_type,
    fact.identifier_value,
    bridge.profile_id,
    fact.properties,
    fact.traits,
    fact.context,
    fact.group_id,
    fact.source
FROM raw.facts AS fact
LEFT JOIN mart.bridge_identity AS bridge USING (identifier_type, identifier_value);
