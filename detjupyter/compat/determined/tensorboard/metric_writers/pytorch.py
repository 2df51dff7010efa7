"""``determined.tensorboard.metric_writers.pytorch`` as a model definition sees it."""

from detjupyter.compat.unavailable import OfferedNames
from detjupyter.pytorch.tensorboard import TorchWriter

__all__ = ["TorchWriter"]

_names = OfferedNames(__name__)
__getattr__, __dir__ = _names.get, _names.list
