"""The demo: a month of a made-up shop."""
