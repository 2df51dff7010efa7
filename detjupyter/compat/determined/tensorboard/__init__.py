"""``determined.tensorboard`` as a model definition sees it."""
