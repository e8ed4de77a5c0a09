"""Outputs as Arrow columns, pure but for Arrow's values."""
