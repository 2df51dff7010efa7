"""Gathers, copies, writes and restores the state of a PyTorch trial, and reads the layouts of earlier versions of Determined."""
