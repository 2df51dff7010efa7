"""``determined.tensorboard.metric_writers`` as a model definition sees it."""
