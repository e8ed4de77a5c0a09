"""Identifiers, identity links, profile rows and how events fold into them."""
