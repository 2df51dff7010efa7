"""Records and messages as JSON.

JSON has no NaN and no infinities, and browsers refuse Python's spelling of them, so the three are sent as the strings below.
"""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, cast

import numpy as np

from detjupyter.errors import ProtocolError
from detjupyter.text import printable_json

NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

T = TypeVar("T")


def encode(value: Any) -> Any:  # Any: any value of a record
    """Return ``value`` as JSON-ready dicts, lists and scalars; the ``kind`` of a dataclass comes first."""
    if value is None or (isinstance(value, (str, bool, int)) and not isinstance(value, Enum)):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float):
        return value if math.isfinite(value) else name_non_finite(value)
    if is_dataclass(value) and not isinstance(value, type):
        kind = getattr(value, "kind", None)
        head = {"kind": kind} if isinstance(kind, str) and "kind" not in _field_names(type(value)) else {}
        return head | {name: encode(getattr(value, name)) for name in _field_names(type(value))}
    if isinstance(value, np.ndarray):
        return _encode_array(value)
    if isinstance(value, np.generic):
        return encode(value.item())
    if isinstance(value, Mapping):
        return {_text(key): encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [encode(item) for item in value]
    if isinstance(value, range):
        return {"kind": "range", "start": value.start, "stop": value.stop, "step": value.step}
    return _text(value)


def to_json(value: Any) -> str:  # Any: any value that encode() accepts
    """Return ``value`` as JSON for a browser: NaN and the infinities are strings, and all text is printable."""
    return printable_json(json.dumps(encode(value), allow_nan=False, separators=(",", ":")))


def decode(record: type[T], data: Any) -> T:  # Any: decoded JSON
    """Return ``data`` as a ``record``; unknown keys are ignored, so that records of a newer version can be read.

    Raises:
        ProtocolError: ``data`` is not an object, or lacks a field without a default.
    """
    if not isinstance(data, Mapping):
        raise ProtocolError(f"{record.__name__} must be a JSON object, not {data!r}.")
    hints = _hints(cast("type", record))
    try:
        return record(**{name: _decode_value(hint, data[name]) for name, hint in hints.items() if name in data})
    except (AttributeError, TypeError, ValueError) as error:
        raise ProtocolError(f"This is not a valid {record.__name__}: {error}.") from error


def _decode_value(hint: Any, value: Any) -> Any:
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        arms = [arm for arm in typing.get_args(hint) if arm is not type(None)]
        return _decode_value(next((arm for arm in arms if _is_dict(arm) == isinstance(value, Mapping)), arms[0]), value)
    if isinstance(hint, type) and is_dataclass(hint):
        return decode(hint, value)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    if hint is float:
        return NON_FINITE[value] if isinstance(value, str) else float(value)
    if origin is tuple:
        return tuple(_decode_value(typing.get_args(hint)[0], item) for item in value)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise TypeError(f"{value!r} is not an object")
        return {key: _decode_value(typing.get_args(hint)[1], item) for key, item in value.items()}
    if origin is np.ndarray:
        return np.array([_decode_value(float, item) for item in value], dtype=np.float64)
    return value


def _is_dict(hint: Any) -> bool:
    return typing.get_origin(hint) is dict


@cache
def _hints(record: type) -> dict[str, Any]:
    hints = typing.get_type_hints(record)
    return {name: hints[name] for name in _field_names(record)}


@cache
def _field_names(record: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(record))


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # the user's class raised; the record that contains the object must still be written
        return object.__repr__(value)


def name_non_finite(value: float) -> str:
    """Return the string that is sent for NaN or an infinity."""
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _encode_array(array: np.ndarray[Any, Any]) -> list[Any]:
    values = array.tolist()
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return cast("list[Any]", values)
    return [encode(value) for value in values]
