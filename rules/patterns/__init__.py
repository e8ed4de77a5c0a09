"""Patterns over a profile's history, as functions of its signals."""
