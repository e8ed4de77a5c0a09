"""Conditions on events: the operators as a table, and how they are read from rule files."""
