"""What definitions of this framework find in numpy that numpy 2 no longer has."""

from __future__ import annotations

from types import ModuleType

import numpy as np


def numpy_with_float_(numpy: ModuleType) -> ModuleType:
    """Return the module ``numpy`` with ``float_``, which numpy 2 removed."""
    same = ModuleType("numpy", numpy.__doc__)
    vars(same).update({"float_": np.float64, **vars(numpy)})
    return same
