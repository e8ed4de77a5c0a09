"""The benchmark of one process."""
