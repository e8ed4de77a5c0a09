"""Outside to accepted events: JSON lines, files and SQL imports."""
