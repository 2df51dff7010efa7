"""Commands, answers and events as bytes: JSON for text, raw buffers for numbers, nothing that could run code.

A frame is a JSON text and the buffers that it refers to. A value that JSON cannot represent is an object with the key ``$`` and a list:

* ``["tuple", …]``, ``["set", …]``, ``["map", [key, value], …]`` (a dict whose keys are not all plain text)
* ``["range", start, stop, step]``, regardless of its length
* ``["float", "NaN"]`` and the infinities; ``["array", buffer, dtype, shape]``; ``["scalar", buffer, dtype]``; ``["bytes", buffer]``
* ``["path", text]``; ``["enum", name, value]``; ``["record", name, {field: value}]`` for the dataclasses of the protocol

The reader only creates objects of the classes registered here, so that bytes from another process cannot name any other class.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from detjupyter.errors import ProtocolError
from detjupyter.protocol.wire import NON_FINITE, name_non_finite

VERSION = 1
MAX_INT_BITS = 8192
"""Python converts far longer integers to and from text only on request, because that takes quadratic time."""
_NUMERIC = "biufc"
_NUMERIC_DTYPE = re.compile(rf"[<>|][{_NUMERIC}]\d{{1,2}}")


def pack(value: Any) -> bytes:  # Any: a command, an answer or an event
    """Return ``value`` as the bytes of a frame.

    Raises:
        ProtocolError: It contains a value that cannot be sent; the message names the value and its position.
    """
    buffers: list[bytes] = []
    what = type(value).__name__
    try:
        text = json.dumps([VERSION, _encode(value, buffers, what)], allow_nan=False, separators=(",", ":")).encode()
    except RecursionError:
        raise ProtocolError(f"{what} cannot be sent: it contains itself, or is nested too deeply.") from None
    parts = [text, *buffers]
    head = struct.pack(f"<I{len(parts)}Q", len(parts), *map(len, parts))
    return b"".join((head, *parts))


def unpack(frame: bytes) -> Any:  # Any: what was packed
    """Return the value that :func:`pack` was given.

    Raises:
        ProtocolError: The frame is damaged, has another version, or names an unknown class.
    """
    try:
        (count,) = struct.unpack_from("<I", frame)
        sizes = struct.unpack_from(f"<{count}Q", frame, 4)
        position, parts = 4 + 8 * count, []
        for size in sizes:
            parts.append(frame[position : position + size])
            position += size
        if position != len(frame):
            raise ValueError(f"it has {len(frame):,} bytes, not {position:,}")
        version, content = json.loads(parts[0])
    except (struct.error, ValueError, IndexError, TypeError, RecursionError) as error:
        raise ProtocolError(f"The message is damaged: {error}.") from None
    if version != VERSION:
        raise ProtocolError(
            f"The message has version {version}; this detjupyter reads version {VERSION}.",
            hint="Use the same version of detjupyter in both processes.",
        )
    try:
        return _decode(content, parts[1:])
    except (KeyError, ValueError, IndexError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ProtocolError(f"The message cannot be read: {type(error).__name__}: {error}.") from None


def _encode(value: Any, buffers: list[bytes], where: str) -> Any:
    if value is None or type(value) in (str, bool):
        return value
    if type(value) is int:
        return _checked(value, where)
    if isinstance(value, Enum):
        return {"$": ["enum", _registered(value, where), value.value]}
    if isinstance(value, float) and not isinstance(value, np.generic):  # numpy's float64 is a float, and keeps its type below
        return value if math.isfinite(value) else {"$": ["float", name_non_finite(value)]}
    if isinstance(value, np.ndarray) and value.dtype.kind in _NUMERIC:
        return {"$": ["array", _add(np.ascontiguousarray(value).tobytes(), buffers), value.dtype.str, list(value.shape)]}
    if isinstance(value, np.generic) and value.dtype.kind in _NUMERIC:
        return {"$": ["scalar", _add(value.tobytes(), buffers), value.dtype.str]}
    if isinstance(value, (bytes, bytearray)):
        return {"$": ["bytes", _add(bytes(value), buffers)]}
    if isinstance(value, Path):
        return {"$": ["path", str(value)]}
    if is_dataclass(value) and not isinstance(value, type):
        return _encode_record(value, buffers, where)
    return _encode_container(value, buffers, where)


def _encode_record(value: Any, buffers: list[bytes], where: str) -> Any:
    name = _registered(value, where)
    sent = [item.name for item in fields(value) if item.metadata.get("is_sent", True)]
    return {"$": ["record", name, {field: _encode(getattr(value, field), buffers, f"{where}.{field}") for field in sent}]}


def _registered(value: Any, where: str) -> str:
    name = type(value).__name__
    if _classes().get(name) is not type(value):
        raise ProtocolError(f"{where} cannot be sent: {name} is not a class of the protocol.")
    return name


def _checked(number: int, where: str) -> int:
    if number.bit_length() > MAX_INT_BITS:
        raise ProtocolError(f"{where} cannot be sent: it is an integer of {number.bit_length():,} bits, more than {MAX_INT_BITS:,}.")
    return number


def _encode_container(value: Any, buffers: list[bytes], where: str) -> Any:
    if isinstance(value, Mapping):
        if all(type(key) is str for key in value) and "$" not in value:
            return {key: _encode(inner, buffers, f"{where}[{key!r}]") for key, inner in value.items()}
        pairs = ([_encode(key, buffers, where), _encode(inner, buffers, f"{where}[{key!r}]")] for key, inner in value.items())
        return {"$": ["map", *pairs]}
    if isinstance(value, list):
        return [_encode(inner, buffers, f"{where}[{index}]") for index, inner in enumerate(value)]
    if isinstance(value, range):
        return {"$": ["range", *(_checked(number, where) for number in (value.start, value.stop, value.step))]}
    if isinstance(value, tuple):
        return {"$": ["tuple", *(_encode(inner, buffers, f"{where}[{index}]") for index, inner in enumerate(value))]}
    if isinstance(value, (set, frozenset)):
        return {"$": ["set", *(_encode(inner, buffers, where) for inner in value)]}
    if isinstance(value, (str, int)):  # a subclass, sent as its base class
        return str.__str__(value) if isinstance(value, str) else _checked(int(value), where)
    kind = type(value)
    raise ProtocolError(
        f"{where} cannot be sent: it is a {kind.__module__}.{kind.__qualname__}.",
        hint="Only numbers, text, arrays of numbers, and containers of these can travel.",
    )


def _decode(value: Any, buffers: list[bytes]) -> Any:
    if isinstance(value, list):
        return [_decode(inner, buffers) for inner in value]
    if not isinstance(value, dict):
        return value
    if set(value) != {"$"}:
        return {key: _decode(inner, buffers) for key, inner in value.items()}
    kind, *rest = value["$"]
    return _DECODERS[kind](rest, buffers)


def _decode_record(rest: list[Any], buffers: list[bytes]) -> Any:
    name, values = rest
    known = _classes()[name]
    return known(**{field: _decode(inner, buffers) for field, inner in values.items()})


def _decode_array(rest: list[Any], buffers: list[bytes]) -> Any:
    index, dtype, shape = rest
    # `frombuffer` returns a view of the message, which cannot be written.
    return np.frombuffer(buffers[index], dtype=_numeric(dtype)).reshape(shape).copy()


def _decode_scalar(rest: list[Any], buffers: list[bytes]) -> Any:
    index, dtype = rest
    (value,) = np.frombuffer(buffers[index], dtype=_numeric(dtype))
    return value


def _numeric(dtype: str) -> np.dtype[Any]:
    if not _NUMERIC_DTYPE.fullmatch(dtype):
        raise ValueError(f"{dtype!r} is not a numeric type")
    return np.dtype(dtype)


@cache
def _classes() -> dict[str, type[Any]]:
    """Return the classes that can be sent: the dataclasses and enums of the protocol, by name."""
    from detjupyter.protocol import answers, calls, commands, events, lengths, origins, recipe, records, states

    modules: tuple[ModuleType, ...] = (answers, calls, commands, events, lengths, origins, recipe, records, states)
    members = ((module, name, member) for module in modules for name, member in vars(module).items())
    return {name: member for module, name, member in members if isinstance(member, type) and _is_ours(member, module)}


def _is_ours(member: type[Any], module: ModuleType) -> bool:
    return member.__module__ == module.__name__ and (is_dataclass(member) or issubclass(member, Enum))


_DECODERS: dict[str, Callable[[list[Any], list[bytes]], Any]] = {
    "tuple": lambda rest, buffers: tuple(_decode(inner, buffers) for inner in rest),
    "range": lambda rest, _: range(*rest),
    "set": lambda rest, buffers: frozenset(_decode(inner, buffers) for inner in rest),
    "map": lambda rest, buffers: {_decode(key, buffers): _decode(inner, buffers) for key, inner in rest},
    "float": lambda rest, _: NON_FINITE[rest[0]],
    "array": _decode_array,
    "scalar": _decode_scalar,
    "bytes": lambda rest, buffers: buffers[rest[0]],
    "path": lambda rest, _: Path(rest[0]),
    "enum": lambda rest, _: _classes()[rest[0]](rest[1]),
    "record": _decode_record,
}


def _add(data: bytes, buffers: list[bytes]) -> int:
    buffers.append(data)
    return len(buffers) - 1
