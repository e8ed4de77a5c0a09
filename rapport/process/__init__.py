"""What every process needs from its surroundings: clock, signals, logs, garbage collection, progress."""
