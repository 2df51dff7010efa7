"""Assertions that a model definition makes about its configuration: ``check.gt(batch_size, 0, "batch_size must be positive")``.

Each exists by two names, as in Determined: ``gt`` and ``check_gt``. All raise :class:`CheckFailedError`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Sized
from typing import Any

from detjupyter.compat.unavailable import OfferedNames

__all__ = [
    "CheckFailedError",
    "check_eq",
    "check_eq_len",
    "check_false",
    "check_gt",
    "check_gt_eq",
    "check_in",
    "check_isinstance",
    "check_issubclass",
    "check_len",
    "check_lt",
    "check_lt_eq",
    "check_none",
    "check_not_eq",
    "check_not_in",
    "check_not_isinstance",
    "check_not_none",
    "check_true",
    "check_type",
    "eq",
    "equal_lengths",
    "false",
    "gt",
    "gt_eq",
    "is_in",
    "is_instance",
    "is_none",
    "is_not_instance",
    "is_not_none",
    "is_subclass",
    "is_type",
    "len_eq",
    "lt",
    "lt_eq",
    "not_eq",
    "not_in",
    "true",
]

_names = OfferedNames(__name__)
__getattr__, __dir__ = _names.get, _names.list


class CheckFailedError(Exception):
    """A check did not hold."""


def _require(holds: bool, reason: str | None, found: str) -> None:
    if not holds:
        raise CheckFailedError(f"CHECK FAILED! {reason}: {found}" if reason else f"CHECK FAILED! {found}")


def true(value: object, reason: str | None = None) -> None:
    """Require that ``value`` is true."""
    _require(bool(value), reason, f"expected a true value, got {value!r}")


def false(value: object, reason: str | None = None) -> None:
    """Require that ``value`` is false."""
    _require(not value, reason, f"expected a false value, got {value!r}")


def is_none(value: object, reason: str | None = None) -> None:
    """Require that ``value`` is None."""
    _require(value is None, reason, f"expected None, got {value!r}")


def is_not_none(value: object, reason: str | None = None) -> None:
    """Require that ``value`` is not None."""
    _require(value is not None, reason, "expected something, got None")


def _comparison(symbol: str, compare: Callable[[Any, Any], Any]) -> Callable[..., None]:
    def check(value: Any, other: Any, reason: str | None = None) -> None:
        _require(bool(compare(value, other)), reason, f"{value!r} is not {symbol} {other!r}")

    check.__doc__ = f"Require that ``value {symbol} other``."
    return check


eq = _comparison("==", operator.eq)
not_eq = _comparison("!=", operator.ne)
gt = _comparison(">", operator.gt)
gt_eq = _comparison(">=", operator.ge)
lt = _comparison("<", operator.lt)
lt_eq = _comparison("<=", operator.le)


def equal_lengths(value: Sized, other: Sized, reason: str | None = None) -> None:
    """Require that both are of one length."""
    _require(len(value) == len(other), reason, f"the lengths {len(value)} and {len(other)} differ")


def len_eq(value: Sized, length: int, reason: str | None = None) -> None:
    """Require that ``value`` has that length."""
    _require(len(value) == length, reason, f"the length is {len(value)}, not {length}")


def is_in(value: object, values: Collection[object], reason: str | None = None) -> None:
    """Require that ``value`` is one of ``values``."""
    _require(value in values, reason, f"{value!r} is not in {values!r}")


def not_in(value: object, values: Collection[object], reason: str | None = None) -> None:
    """Require that ``value`` is none of ``values``."""
    _require(value not in values, reason, f"{value!r} is in {values!r}")


def is_type(value: object, expected: type, reason: str | None = None) -> None:
    """Require that ``value`` is of exactly that type."""
    _require(type(value) is expected, reason, f"expected a {expected.__name__}, got {value!r}")


def is_instance(value: object, expected: type | tuple[type, ...], reason: str | None = None) -> None:
    """Require that ``value`` is an instance of the class, or of one of the classes."""
    _require(isinstance(value, expected), reason, f"{value!r} is not an instance of {expected!r}")


def is_not_instance(value: object, expected: type | tuple[type, ...], reason: str | None = None) -> None:
    """Require that ``value`` is not an instance of the class, or of any of the classes."""
    _require(not isinstance(value, expected), reason, f"{value!r} is an instance of {expected!r}")


def is_subclass(value: type, expected: type | tuple[type, ...], reason: str | None = None) -> None:
    """Require that ``value`` is a class derived from the class, or from one of the classes."""
    _require(isinstance(value, type) and issubclass(value, expected), reason, f"{value!r} is not a subclass of {expected!r}")


check_true, check_false, check_none, check_not_none = true, false, is_none, is_not_none
check_eq, check_not_eq, check_gt, check_gt_eq, check_lt, check_lt_eq = eq, not_eq, gt, gt_eq, lt, lt_eq
check_eq_len, check_len, check_in, check_not_in, check_type = equal_lengths, len_eq, is_in, not_in, is_type
check_isinstance, check_not_isinstance, check_issubclass = is_instance, is_not_instance, is_subclass
