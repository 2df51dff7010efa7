"""The engine: loads, trains and closes one trial in one thread. It receives commands and publishes events, both as data."""
