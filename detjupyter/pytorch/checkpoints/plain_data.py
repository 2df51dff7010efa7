"""Numbers, text, tensors, arrays, and containers of them, in the form in which a checkpoint holds them: data, not pickled objects.

A value of a class that a checkpoint can hold is itself. All others are tuples, which begin with the name of a kind.
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Collection, Container, Mapping
from enum import Enum
from itertools import islice
from typing import Any

import numpy as np
import torch

from detjupyter.definition.isolation.saved_names import imported_class, saved_name

_ITSELF = (type(None), bool, int, float)
_SEQUENCES: dict[str, Any] = {kind.__name__: kind for kind in (list, tuple, set, frozenset, deque)}
_MAPPINGS: dict[str, Any] = {kind.__name__: kind for kind in (dict, OrderedDict, Counter, defaultdict)}
_FACTORIES: dict[str, Any] = {kind.__name__: kind for kind in (int, float, list, dict, set)}
_NUMERIC = "?bhilqpBHILQPefdgFDGSU"  # numpy's dtypes of numbers and text; the others contain objects, fields or times
_MAX_DEPTH = 16
MAX_BYTES = 64 << 20
"""The size of the largest value that a checkpoint holds."""

_MANY = 1000
_BYTES_OF_AN_ENTRY = 64


class NotPlainError(Exception):
    """The value is not plain data."""


class TooLargeError(NotPlainError):
    """The value is plain data as far as it was read, but larger than the limit."""


class Encoder:
    """Turns one value into plain data.

    Args:
        held: The ids of tensors that a checkpoint holds elsewhere, which count as not plain.
        limit_bytes: The largest size of the value; an entry of a container counts 64 bytes.
    """

    def __init__(self, held: Container[int], limit_bytes: int) -> None:
        self._held = held
        self._left_bytes = limit_bytes

    def encode(self, value: Any, depth: int = 0) -> Any:
        """Return ``value`` as plain data, in which tensors are shared with it.

        Raises:
            NotPlainError: The value, or one in it, is not plain data.
            TooLargeError: The value is larger than the limit.
        """
        kind = type(value)
        if kind in _ITSELF:
            self._count(0)
            return value
        if kind in (str, bytes):
            self._count(len(value))
            return value
        if kind is complex:
            return "complex", value.real, value.imag
        if kind is bytearray:
            self._count(len(value))
            return "bytearray", bytes(value)
        if isinstance(value, Enum):
            return _member(value)
        if isinstance(value, torch.Tensor):
            return self._tensor(value)
        if isinstance(value, (np.ndarray, np.generic)):
            return self._array(value)
        if depth == _MAX_DEPTH:  # it probably contains itself
            raise NotPlainError
        if _SEQUENCES.get(kind.__name__) is kind:
            extra = value.maxlen if kind is deque else None
            return kind.__name__, [self.encode(inner, depth + 1) for inner in value], extra
        if _MAPPINGS.get(kind.__name__) is kind:
            factory = getattr(value, "default_factory", None)
            if factory is not None and factory not in _FACTORIES.values():
                raise NotPlainError
            pairs = [[self.encode(key, depth + 1), self.encode(inner, depth + 1)] for key, inner in value.items()]
            return kind.__name__, pairs, None if factory is None else factory.__name__
        raise NotPlainError

    def _tensor(self, value: torch.Tensor) -> Any:
        if id(value) in self._held or type(value) not in (torch.Tensor, torch.nn.Parameter) or not _is_dense(value):
            raise NotPlainError
        self._count(value.nbytes)
        return "tensor", value.detach(), value.device.type == "cpu", value.requires_grad and value.is_leaf

    def _array(self, value: np.ndarray[Any, Any] | np.generic) -> Any:
        if (type(value) is not np.ndarray and not isinstance(value, np.generic)) or value.dtype.char not in _NUMERIC:
            raise NotPlainError
        self._count(value.nbytes)
        # As a tensor: `torch.load` with `weights_only` reads no arrays. `frombuffer` warns about bytes, which are read-only, and refuses a
        # buffer without content.
        content = torch.frombuffer(bytearray(value.tobytes()), dtype=torch.uint8) if value.nbytes else torch.empty(0, dtype=torch.uint8)
        return "array" if type(value) is np.ndarray else "number", value.dtype.str, list(value.shape), content

    def _count(self, size_bytes: int) -> None:
        self._left_bytes -= size_bytes + _BYTES_OF_AN_ENTRY
        if self._left_bytes < 0:
            raise TooLargeError


def _member(value: Enum) -> Any:
    """Return a value of an enumeration by its name: the code can renumber the values."""
    kind = type(value)
    name = saved_name(kind)
    if "<" in kind.__qualname__ or not (kind.__members__.get(value.name or "") is value or type(value.value) is int):
        raise NotPlainError
    member = value.name if value.name in kind.__members__ else value.value  # flags can be combined, and have no name then
    return "enum", name or f"{kind.__module__}:{kind.__qualname__}", member, name is not None


def decode(data: Any, device: torch.device, owner: object) -> Any:
    """Return the value of plain data, with tensors of accelerators on ``device``; enumerations are those of the load ``owner`` is from.

    Raises:
        LookupError: The code has no such enumeration, or no such value in it.
    """
    if not isinstance(data, tuple):
        return data
    kind, content, *more = data
    if kind == "complex":
        return complex(content, more[0])
    if kind == "bytearray":
        return bytearray(content)
    if kind == "tensor":
        is_on_host, requires_grad = more
        return content.to("cpu" if is_on_host else device, copy=True).requires_grad_(requires_grad)
    if kind in ("array", "number"):
        shape, values = more
        kind_of_number = np.dtype(content)
        if not kind_of_number.itemsize:  # empty text, which numpy cannot read from bytes
            array = np.zeros(shape, dtype=kind_of_number)
        else:
            array = np.frombuffer(values.numpy().tobytes(), dtype=kind_of_number).reshape(shape)
        return array.copy() if kind == "array" else array[()]
    if kind == "enum":
        member, is_own = more
        found = imported_class(owner if is_own else None, content)
        if not (isinstance(found, type) and issubclass(found, Enum)):
            raise LookupError(f"there is no enumeration {content}")
        try:
            return found[member] if isinstance(member, str) else found(member)
        except (KeyError, ValueError):
            raise LookupError(f"{content} has no {member!r}") from None
    if kind in _SEQUENCES:
        values = [decode(inner, device, owner) for inner in content]
        return deque(values, more[0]) if kind == "deque" else _SEQUENCES[kind](values)
    items = {decode(key, device, owner): decode(inner, device, owner) for key, inner in content}
    return defaultdict(_FACTORIES.get(more[0]), items) if kind == "defaultdict" else _MAPPINGS[kind](items)


def put_into(target: Any, value: Any) -> bool:
    """Give the object ``target`` the content of ``value``, so that other references to it see it; return whether that is possible.

    Tensors in a container that an optimizer updates are kept, too, and get the values of those in ``value``.
    """
    if isinstance(target, torch.Tensor):
        fits = isinstance(value, torch.Tensor) and (target.shape, target.dtype) == (value.shape, value.dtype)
        if fits:
            with torch.no_grad():
                target.copy_(value)
        return fits
    if type(target) is not type(value):
        return False
    if isinstance(target, np.ndarray):
        fits = (target.shape, target.dtype) == (value.shape, value.dtype) and target.flags.writeable
        if fits:
            target[...] = value
        return fits
    if isinstance(target, (list, deque)):
        merged = [_merged(old, new) for old, new in zip(target, value, strict=True)] if len(target) == len(value) else [*value]
        target.clear()
        target.extend(merged)
    elif isinstance(target, Mapping):
        merged_items = {key: _merged(target.get(key), new) for key, new in value.items()}
        target.clear()  # type: ignore[attr-defined]  # the mappings of plain data are mutable
        target.update(merged_items)  # type: ignore[attr-defined]
    elif isinstance(target, bytearray):
        target[:] = value
    elif isinstance(target, set):
        target.clear()
        target.update(value)
    else:
        return False
    return True


def copied_plain(data: Any) -> Any:
    """Return plain data with copies of its tensors."""
    if isinstance(data, torch.Tensor):
        return data.clone()
    if isinstance(data, (list, tuple)):
        return type(data)(copied_plain(inner) for inner in data)
    return data


def same_plain(one: Any, two: Any) -> bool:
    """Return whether plain data is equal, in types and bits, too."""
    if one is two:
        return True
    if type(one) is not type(two):
        return False
    if isinstance(one, torch.Tensor):
        alike = (one.shape, one.dtype, one.device) == (two.shape, two.dtype, two.device)
        return alike and torch.equal(_bits(one), _bits(two))
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(map(same_plain, one, two))
    return bool(one == two) or (one != one and two != two)  # the same number, or two NaNs


def fingerprint(value: Any, most_read_bytes: int = MAX_BYTES) -> bytes:
    """Return a small value that changes with the content of a large tensor, array or container.

    Of more than ``most_read_bytes`` bytes only a part is read. By default that is the size of the largest value that a checkpoint can
    hold, so that the result for a larger one only decides about a warning.
    """
    digest = hashlib.blake2b(digest_size=16)
    _feed(digest, value, int(_size_of(value, 0)) // most_read_bytes + 1, 0)
    return digest.digest()


def _size_of(value: Any, depth: int) -> float:
    """Return about how many bytes a value has."""
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return float(value.nbytes)
    if isinstance(value, (str, bytes, bytearray)):
        return len(value)
    inner = _inside(value)
    if not inner or depth == _MAX_DEPTH:
        return _BYTES_OF_AN_ENTRY
    first = [_size_of(each, depth + 1) for each in islice(inner, _MANY)]
    return len(inner) * (_BYTES_OF_AN_ENTRY + sum(first) / len(first))


def _feed(digest: Any, value: Any, step: int, depth: int) -> None:
    """Add a value to a hash: of tensors and of containers with many entries one of ``step`` entries."""
    if type(value) in (torch.Tensor, torch.nn.Parameter) and _is_dense(value):
        flat = _bits(value)[::step]
        digest.update(repr((value.shape, value.dtype)).encode())
        if flat.device.type == "cpu":
            digest.update(np.ascontiguousarray(flat.numpy()).data)
        else:
            # Computed on the device, so that two numbers are transferred instead of all values.
            digest.update(repr([int(part.sum(dtype=torch.int64)) for part in (flat, flat[::3])]).encode())
    elif type(value) is np.ndarray and value.dtype.char in _NUMERIC:
        digest.update(repr((value.shape, value.dtype)).encode())
        digest.update(np.ascontiguousarray(value.reshape(-1)[::step]).view(np.uint8).data)
    elif isinstance(value, (*_ITSELF, complex, np.generic, str, bytes)):
        digest.update(repr(value).encode("utf-8", "surrogatepass"))
    elif type(value) is bytearray:
        digest.update(value[::step])
    elif (inner := _inside(value)) is not None and depth < _MAX_DEPTH:
        digest.update(f"{type(value).__name__} {len(inner)}".encode())
        for each in islice(inner, 0, None, step if len(inner) > _MANY else 1):
            _feed(digest, each, step, depth + 1)
    else:
        digest.update(str(id(value)).encode())


def _inside(value: Any) -> Collection[Any] | None:
    """Return what a container of plain data contains; None for other values."""
    kind = type(value)
    if _MAPPINGS.get(kind.__name__) is kind:
        items: Collection[Any] = value.items()
        return items
    sequence: Collection[Any] | None = value if _SEQUENCES.get(kind.__name__) is kind else None
    return sequence


def _is_dense(value: torch.Tensor) -> bool:
    return value.layout is torch.strided and not value.is_quantized and value.device.type != "meta"


def _merged(old: Any, new: Any) -> Any:
    """Return ``old`` with the values of ``new`` if it is a tensor that an optimizer can update, else ``new``."""
    is_trainable = isinstance(old, torch.Tensor) and old.requires_grad and old.is_leaf
    return old if is_trainable and put_into(old, new) else new


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    # As integers, because a NaN differs from itself, and 0.0 equals -0.0.
    flat = tensor.detach().contiguous().reshape(-1)
    if flat.is_complex():
        flat = torch.view_as_real(flat).reshape(-1)
    return flat.view({1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[flat.element_size()])
