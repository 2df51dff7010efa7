"""Where a trial's batches come from, and how the training goes on in the middle of them."""
