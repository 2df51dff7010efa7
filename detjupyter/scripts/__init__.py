"""Sessions and runs for scripts and cells that build their trial themselves, or train with their own loop."""
