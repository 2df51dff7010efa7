"""Takes a run out of the history: as a data frame, as a file of numbers, or as event files of TensorBoard."""
