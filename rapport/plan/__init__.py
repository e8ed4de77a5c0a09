"""The plan folder: read, and written for the first time."""
