"""Accepted facts on their way out: Parquet lake, DuckDB marts, SQL. It decides nothing about customers."""
