"""Where a trial's batches come from, and how a training continues in the middle of an epoch."""
