"""Strict YAML: values that know their place, and shapes read out of them."""
