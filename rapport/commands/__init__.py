"""One function a command. They read options, call, and show; the work is done elsewhere."""
