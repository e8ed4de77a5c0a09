-- Purpose: mart.fct_rejected: rejected input, readable and exact.
-- Needs: raw.rejected

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

COMMENT ON VIEW mart.fct_rejected IS 'Rejected input: where, why, and the original';
COMMENT ON COLUMN mart.fct_rejected.rejected_at IS 'When it was rejected, UTC';
COMMENT ON COLUMN mart.fct_rejected.stage IS
    'read: a row of an imported table; accept, identify; record: a line on a topic that is no message';
COMMENT ON COLUMN mart.fct_rejected.code IS 'Why, in a word: docs/events.md lists the codes';
COMMENT ON COLUMN mart.fct_rejected.field IS
    'The field at fault, or the type of the identifier; empty for the whole input';
COMMENT ON COLUMN mart.fct_rejected.value IS 'The offending value, at most 200 characters of it';
COMMENT ON COLUMN mart.fct_rejected.expectation IS 'What would have been accepted';
COMMENT ON COLUMN mart.fct_rejected.source IS
    'What it came from: the name of a file, stdin, or the topic, partition and offset of a record';
COMMENT ON COLUMN mart.fct_rejected.payload IS 'payload_bytes as text; base64 where they are not UTF-8 or hold NUL';
COMMENT ON COLUMN mart.fct_rejected.payload_bytes IS 'The original bytes; above 64 KiB their beginning';
COMMENT ON COLUMN mart.fct_rejected.payload_length IS 'Length of the whole original in bytes';
COMMENT ON COLUMN mart.fct_rejected.payload_sha256 IS
    'SHA-256 of the whole original; empty where payload_bytes is whole';
COMMENT ON COLUMN mart.fct_rejected.rejection_id IS
    'Made from what was rejected and where it stood: a replay of the same input adds nothing';
