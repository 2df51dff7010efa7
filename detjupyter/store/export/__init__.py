"""Takes a run out of the history: as a data frame, as a file of numbers, as a page, or as event files of TensorBoard."""
