"""The rule language: parse, check, evaluate."""
