"""The runner for proofs: lanes, logs and owners in memory, with faults from a seed."""
