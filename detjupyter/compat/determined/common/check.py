"""``determined.common.check``: see :mod:`detjupyter.compat.determined_common.check`."""

from detjupyter.compat.determined_common.check import *  # noqa: F403 -- the same module under its newer name
from detjupyter.compat.determined_common.check import __all__ as __all__
from detjupyter.compat.unavailable import OfferedNames

_names = OfferedNames(__name__)
__getattr__, __dir__ = _names.get, _names.list
