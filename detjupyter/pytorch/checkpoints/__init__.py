"""The state of a PyTorch trial: gathered, copied, written, and read in every layout there was."""
