"""``determined.pytorch.samplers``: the names of ``detjupyter.pytorch.samplers``."""

from detjupyter.compat.unavailable import OfferedNames
from detjupyter.pytorch.samplers import *  # noqa: F403
from detjupyter.pytorch.samplers import __all__ as __all__

_names = OfferedNames(__name__)
__getattr__, __dir__ = _names.get, _names.list
