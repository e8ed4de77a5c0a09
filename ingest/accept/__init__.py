"""From raw bytes to accepted events, pure: what is kept, what is refused and why."""
