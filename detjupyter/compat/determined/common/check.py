"""``determined.common.check``: see :mod:`detjupyter.compat.determined_common.check`."""

from detjupyter.compat.determined_common.check import *  # noqa: F403 -- the same module under its newer name
from detjupyter.compat.determined_common.check import __all__ as __all__
