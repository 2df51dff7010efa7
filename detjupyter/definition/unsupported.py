"""The trials of frameworks that detjupyter does not train."""

from __future__ import annotations

from collections.abc import Iterable

_HOMES = {
    "DeepSpeedTrial": "determined.pytorch.deepspeed",
    "EstimatorTrial": "determined.estimator",
    "TFKerasTrial": "determined.keras",
}


def unsupported_base(bases: Iterable[str]) -> str | None:
    """Return the full name of the first base that is a trial of such a framework; None if none is.

    Args:
        bases: Full names; a name that an ``import *`` provides has no module.

    Examples:
        >>> unsupported_base(["abc.ABC", "determined.keras.TFKerasTrial"]), unsupported_base(["mine.TFKerasTrial"])
        ('determined.keras.TFKerasTrial', None)
    """
    for base in bases:
        module, _, name = base.rpartition(".")
        if name in _HOMES and (not module or module.partition(".")[0] == "determined"):
            return f"{_HOMES[name]}.{name}"
    return None
