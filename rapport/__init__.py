"""The front door: composes the other packages and decides nothing."""
