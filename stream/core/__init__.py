"""The steps of a lane and what belongs to them, pure: no clock, broker, disk or randomness."""
