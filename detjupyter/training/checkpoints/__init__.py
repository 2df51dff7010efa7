"""Checkpoints: taken between two batches, written behind, checked when they are read, and kept as long as somebody wants them."""
