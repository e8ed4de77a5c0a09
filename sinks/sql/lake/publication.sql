-- Purpose: say what raw.publication holds. The publisher itself makes it: it is what the publication was built from.

COMMENT ON TABLE raw.publication IS 'What this file was published from';
COMMENT ON COLUMN raw.publication.topic IS 'Topic';
COMMENT ON COLUMN raw.publication.partition IS 'Its partition';
COMMENT ON COLUMN raw.publication.next_offset IS 'First offset not included';
COMMENT ON COLUMN raw.publication.compactions IS 'Compaction rounds so far';
COMMENT ON COLUMN raw.publication.lake IS 'Folder of the Parquet files that the views read';
