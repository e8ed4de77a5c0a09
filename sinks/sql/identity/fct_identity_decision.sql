-- Purpose: mart.fct_identity_decision: what the linker decided, and which identifiers events named in vain.
-- Needs: raw.facts, raw.identity

CREATE TABLE mart.fct_identity_decision AS
SELECT
    decision,
    kind,
    CASE WHEN winner <> '' THEN profile_id_of(winner) END AS winner,
    CASE WHEN loser <> '' THEN profile_id_of(loser) END AS loser,
    reason,
    message_id,
    decided_at,
    nullif(winner, '') AS winner_identifier,
    nullif(loser, '') AS loser_identifier,
    a,
    b,
    moved
FROM raw.identity
UNION ALL
SELECT
    NULL AS decision,
    'drop' AS kind,
    NULL AS winner,
    NULL AS loser,
    json_extract_string(each.value, '$.reason') AS reason,
    fact.message_id,
    fact.received_at AS decided_at,
    NULL AS winner_identifier,
    NULL AS loser_identifier,
    json_extract_string(each.value, '$.type') || ':' || json_extract_string(each.value, '$.value') AS a,
    NULL AS b,
    [] AS moved
FROM raw.facts AS fact, json_each(fact.dropped) AS each
WHERE fact.dropped IS NOT NULL
ORDER BY decided_at, decision, message_id, a;

COMMENT ON TABLE mart.fct_identity_decision IS
    'Why identifiers became one person or did not: merges, refusals, splits, quarantines, dropped identifiers';
COMMENT ON COLUMN mart.fct_identity_decision.decision IS 'Number, in order; NULL for a drop';
COMMENT ON COLUMN mart.fct_identity_decision.kind IS
    'merge, refuse, split, unsplit, quarantine, regroup (apart by a quarantine), release, or drop (not used)';
COMMENT ON COLUMN mart.fct_identity_decision.winner IS
    'Profile that holds all afterwards; after a split or a quarantine the one that stays; else the stronger';
COMMENT ON COLUMN mart.fct_identity_decision.loser IS
    'Profile that was absorbed; after a split or a quarantine the one that left; else the weaker';
COMMENT ON COLUMN mart.fct_identity_decision.reason IS 'As in raw.identity; for a drop: blocked, malformed or too_long';
COMMENT ON COLUMN mart.fct_identity_decision.message_id IS
    'The event that named the identifiers; empty for what was asked by hand';
COMMENT ON COLUMN mart.fct_identity_decision.decided_at IS
    'When it was decided, UTC, by the clock of its run; for a drop when the event was accepted';
COMMENT ON COLUMN mart.fct_identity_decision.winner_identifier IS 'Root key of the winner; NULL for a drop';
COMMENT ON COLUMN mart.fct_identity_decision.loser_identifier IS 'Root key of the loser; NULL for a drop';
COMMENT ON COLUMN mart.fct_identity_decision.a IS 'Identifier key that was asked about or dropped';
COMMENT ON COLUMN mart.fct_identity_decision.b IS 'The other one; empty for a quarantine and its end, NULL for a drop';
COMMENT ON COLUMN mart.fct_identity_decision.moved IS 'Keys whose profile changed; empty where nobody moved';
