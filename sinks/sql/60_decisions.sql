-- Purpose: what was done and decided, row by row: triggers, rule decisions, identity decisions, rejected input.

CREATE VIEW mart.fct_trigger AS
SELECT trigger_id, rule, version, profile_id, run_key, action, payload, fired_at, event_at
FROM raw.triggers;

CREATE VIEW mart.fct_rule_decision AS
SELECT rule, version, profile_id, run_key, message_id, verdict, detail, decided_at
FROM raw.decisions;

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

CREATE VIEW mart.fct_rejected AS
SELECT
    rejected_at,
    stage,
    code,
    field,
    value,
    expectation,
    source,
    coalesce(
        CASE WHEN NOT contains(TRY(decode(payload)), chr(0)) THEN TRY(decode(payload)) END,
        to_base64(payload)
    ) AS payload,
    payload AS payload_bytes,
    length AS payload_length,
    sha256 AS payload_sha256,
    rejection_id
FROM raw.rejected;
