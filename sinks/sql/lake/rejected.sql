-- Purpose: say what raw.rejected holds. The publisher itself makes it: a view over the topic's Parquet files.

COMMENT ON VIEW raw.rejected IS 'Every rejected input as stored in Parquet; mart.fct_rejected shows it readably';
COMMENT ON COLUMN raw.rejected.rejected_at IS 'When it was rejected, UTC';
COMMENT ON COLUMN raw.rejected.stage IS
    'As in mart.fct_rejected; discarded: somebody discarded the one whose id stands behind discarded/';
COMMENT ON COLUMN raw.rejected.code IS 'Why, in a word: docs/events.md lists the codes';
COMMENT ON COLUMN raw.rejected.field IS 'The field at fault, or the type of the identifier; empty for the whole input';
COMMENT ON COLUMN raw.rejected.value IS 'The offending value, at most 200 characters of it';
COMMENT ON COLUMN raw.rejected.expectation IS 'What would have been accepted';
COMMENT ON COLUMN raw.rejected.source IS
    'What it came from: the name of a file, stdin, or the topic, partition and offset of a record';
COMMENT ON COLUMN raw.rejected.payload IS 'The original bytes; above 64 KiB their beginning';
COMMENT ON COLUMN raw.rejected.length IS 'Length of the whole original in bytes';
COMMENT ON COLUMN raw.rejected.sha256 IS 'Of the whole original; empty where payload is whole';
COMMENT ON COLUMN raw.rejected.rejection_id IS
    'Made from what was rejected and where it stood: a replay of the same input adds nothing';
