"""Sources in: read, accepted or refused, applied here or sent to a cluster."""
