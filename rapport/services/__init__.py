"""Processes that stay up: worker and sink."""
