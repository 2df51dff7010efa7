"""``determined.tensorboard.metric_writers.pytorch`` as a model definition sees it."""

from detjupyter.pytorch.tensorboard import TorchWriter

__all__ = ["TorchWriter"]
