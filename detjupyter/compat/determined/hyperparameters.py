"""Hyperparameters as Python objects, in place of the dicts of a config; each is such a dict."""

from __future__ import annotations

from typing import Any


class _Hyperparameter(dict[str, Any]):
    """Its form in a config."""


class Constant(_Hyperparameter):
    """One value."""

    def __init__(self, value: Any) -> None:
        super().__init__(type="const", val=value)


class Integer(_Hyperparameter):
    """A whole number between two bounds."""

    def __init__(self, minval: int, maxval: int) -> None:
        super().__init__(type="int", minval=minval, maxval=maxval)


class Double(_Hyperparameter):
    """A number between two bounds."""

    def __init__(self, minval: float, maxval: float) -> None:
        super().__init__(type="double", minval=minval, maxval=maxval)


class Log(_Hyperparameter):
    """A power of ``base``, whose exponent lies between two bounds."""

    def __init__(self, minval: float, maxval: float, base: float = 10) -> None:
        super().__init__(type="log", minval=minval, maxval=maxval, base=base)


class Categorical(_Hyperparameter):
    """One of several values."""

    def __init__(self, vals: list[Any]) -> None:
        super().__init__(type="categorical", vals=list(vals))
