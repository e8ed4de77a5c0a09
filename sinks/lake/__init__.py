"""The Parquet lake: files, the manifest that names them, compaction, durable writes and locks."""
