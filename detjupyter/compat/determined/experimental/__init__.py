"""``determined.experimental``: what tries a trial out, and ``core_v2``."""

from __future__ import annotations

from detjupyter.compat.unavailable import OfferedNames

__all__ = ["core_v2", "create_trial_instance", "hf_trainer", "test_one_batch"]

_names = OfferedNames(
    __name__,
    modules=("core_v2", "hf_trainer"),
    homes={"create_trial_instance": ".local", "test_one_batch": ".local:train_one_batch"},
)
__getattr__, __dir__ = _names.get, _names.list
