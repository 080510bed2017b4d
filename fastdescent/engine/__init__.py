"""The engine: the compiled loop, its driver, and the result."""
