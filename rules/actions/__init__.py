"""What a rule does when it fires, as it is written in its file."""
