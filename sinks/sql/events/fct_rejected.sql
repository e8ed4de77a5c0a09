-- Purpose: mart.fct_rejected: rejected input, readable and exact, but for what was discarded.
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
    -- UTF-8 as RFC 3629 has it, without the null character; DuckDB before 1.3 reads this view, too, and knows no TRY.
    CASE
        WHEN
            regexp_full_match(
                hex(payload),
                '(0[1-9A-F]|[1-7].|(C[2-9A-F]|D.)[89AB].|(E0[AB].|ED[89].|E[1-9A-CEF][89AB].)[89AB].'
                || '|(F0[9AB].|F[1-3][89AB].|F48.)([89AB].){2})*'
            )
            THEN decode(payload)
        ELSE to_base64(payload)
    END AS payload,
    payload AS payload_bytes,
    length AS payload_length,
    sha256 AS payload_sha256,
    rejection_id
FROM raw.rejected AS refused
WHERE
    stage <> 'discarded'
    AND NOT EXISTS (
        SELECT 1
        FROM raw.rejected AS discarded
        WHERE discarded.stage = 'discarded' AND discarded.rejection_id = 'discarded/' || refused.rejection_id
    );

COMMENT ON VIEW mart.fct_rejected IS 'Rejected input that nobody discarded: where, why, and the original';
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
