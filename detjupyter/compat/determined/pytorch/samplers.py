"""``determined.pytorch.samplers``: the same module as ``detjupyter.pytorch.samplers``."""

import sys

from detjupyter.pytorch import samplers

sys.modules[__name__] = samplers  # whichever way it is imported, there is one of it
