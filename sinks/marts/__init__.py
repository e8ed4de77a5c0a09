"""The published DuckDB file: built, scheduled, queried."""
