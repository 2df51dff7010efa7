"""``determined.pytorch.samplers``: the same names."""

from detjupyter.pytorch.samplers import *  # noqa: F403
from detjupyter.pytorch.samplers import __all__ as __all__
