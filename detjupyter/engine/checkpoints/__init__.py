"""Checkpoints: copied between two batches, written in the background, and verified when they are read."""
