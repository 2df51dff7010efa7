"""The ship check: does what ships train elsewhere, and train the same?

:func:`~detjupyter.check.shipping.ship_check` packs a model definition, has a clean process unpack it in an empty directory and train a few
batches, and compares their metrics with those of the kernel.
"""

from __future__ import annotations

from detjupyter.check.report import CheckReport, CheckStep, FirstDifference
from detjupyter.check.shipping import ship_check

__all__ = ["CheckReport", "CheckStep", "FirstDifference", "ship_check"]
