"""Customers looked up and taken apart, in a data folder or on a cluster."""
