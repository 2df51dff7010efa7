"""``determined.experimental``: what tries a trial out, and ``core_v2``."""

from __future__ import annotations

from detjupyter.compat.unavailable import OfferedNames

_names = OfferedNames(
    __name__,
    modules=("core_v2", "hf_trainer"),
    homes={"create_trial_instance": ".local", "test_one_batch": ".local:train_one_batch"},
)
__getattr__, __dir__ = _names.get, _names.list
