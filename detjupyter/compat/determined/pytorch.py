"""``determined.pytorch`` as a model definition sees it: the same names."""

from detjupyter.pytorch import *  # noqa: F403
from detjupyter.pytorch import __all__ as __all__
