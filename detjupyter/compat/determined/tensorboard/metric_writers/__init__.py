"""``determined.tensorboard.metric_writers`` as a model definition sees it."""

from detjupyter.compat.unavailable import OfferedNames

_names = OfferedNames(__name__)
__getattr__, __dir__ = _names.get, _names.list
