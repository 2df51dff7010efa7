"""``determined.pytorch`` as a model definition sees it: the same names."""

from __future__ import annotations

from detjupyter.compat.unavailable import OfferedNames
from detjupyter.pytorch import *  # noqa: F403
from detjupyter.pytorch import PyTorchTrialContext, samplers
from detjupyter.pytorch import __all__ as __all__
from detjupyter.pytorch.samplers import *  # noqa: F403 -- in 2020 this was their module

TrialContext = PyTorchTrialContext
NativeContext = PyTorchTrialContext

del samplers  # the module of this name here has the same classes, and its other names can be imported, too
# few definitions use the others: they are imported when one does
_names = OfferedNames(
    __name__,
    modules=("samplers",),
    homes={
        "CheckpointLoadContext": "detjupyter.pytorch.loading",
        "load_trial_from_checkpoint_path": "detjupyter.pytorch.loading",
    },
)
__getattr__, __dir__ = _names.get, _names.list
