"""The step functions and the runners that carry them."""
