"""The ship check: does the packed definition train in another place, and with the same results?

:func:`~detjupyter.check.shipping.ship_check` packs a model definition. A clean process unpacks it in an empty directory and trains a few
batches. The check then compares their metrics with those of the kernel.
"""

from __future__ import annotations

from detjupyter.check.report import CheckReport, CheckStep, FirstDifference
from detjupyter.check.shipping import ship_check

__all__ = ["CheckReport", "CheckStep", "FirstDifference", "ship_check"]
