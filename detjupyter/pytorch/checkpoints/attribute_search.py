"""Finds the attributes that a training can change: those of the trial, of objects of the definition's classes in them, and of modules."""

from __future__ import annotations

import hashlib
import logging
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from enum import Enum
from itertools import islice
from types import BuiltinFunctionType, FunctionType, GeneratorType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch

from detjupyter.definition.isolation.finding import scope_of
from detjupyter.pytorch.callbacks import PyTorchCallback
from detjupyter.pytorch.checkpoints.initial_values import Identity
from detjupyter.pytorch.checkpoints.plain_data import Encoder, NotPlainError, fingerprint
from detjupyter.pytorch.checkpoints.shared_objects import Attribute
from detjupyter.pytorch.context import PyTorchTrialContext
from detjupyter.pytorch.custom_reducers import MetricReducer
from detjupyter.pytorch.data.data_loader import DataLoader
from detjupyter.pytorch.trial import PyTorchTrial

# The search runs at every checkpoint, while the training waits, so all that it reads has a limit.
_SMALL_BYTES = 1 << 20
_MAX_OBJECTS = 500
_MAX_ENTRIES = 64
_MAX_DEPTH = 8
_MAX_VALUES = 5000
_MOST_READ_BYTES = 1 << 16
_OF_EVERY_MODULE = frozenset(vars(torch.nn.Module()))

# Objects whose state a checkpoint holds elsewhere, or that have none which a training depends on.
_HAVE_OWN_STATE = (
    PyTorchTrialContext,
    PyTorchCallback,
    DataLoader,
    torch.optim.Optimizer,
    torch.optim.lr_scheduler.LRScheduler,
    torch.utils.data.Dataset,
    torch.utils.data.DataLoader,
    torch.utils.data.Sampler,
    torch.Generator,
    np.random.Generator,
    np.random.RandomState,
    random.Random,
    MetricReducer,
)
_UNWRAPPED = (torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler, torch.amp.GradScaler)
CODE = (type, FunctionType, MethodType, BuiltinFunctionType)
"""The classes of functions and classes."""
_HAVE_NO_STATE = (*CODE, ModuleType, logging.Logger, torch.device, torch.dtype)
_OTHERS_WITHOUT_STATE = tuple(  # output, threads and their tools, and tokenizers, which only have caches
    f"{name}."
    for name in (
        *("torch.utils.tensorboard", "tensorboardX", "threading", "_thread", "queue", "_queue", "multiprocessing"),
        *("detjupyter.pytorch", "detjupyter.compat", "detjupyter.scripts", "detjupyter.engine", "detjupyter.framework"),
        *("concurrent", "asyncio", "logging", "io", "_io", "tqdm", "rich", "wandb", "transformers", "tokenizers", "weakref", "functools"),
    )
)
_SCALARS = (bool, int, float, str, type(None), Enum)
_SEQUENCES: tuple[Any, ...] = (list, tuple, set, frozenset, deque)
_CONTAINERS = (dict, *_SEQUENCES)


class AttributeSearch:
    """The attributes of one trial.

    Args:
        trial: A newly built trial.
        context: Its context.
        without: Returns objects whose state a checkpoint holds elsewhere, such as the loader.
    """

    def __init__(self, trial: PyTorchTrial, context: PyTorchTrialContext, without: Callable[[], Iterable[Any]]) -> None:
        self._trial = trial
        self._context = context
        self._without = without
        self._first_owners: dict[str, Identity] | None = None
        owners = list(self.owners())
        self._first_owners = {path: Identity(owner, keep=True) for path, owner in owners}
        self._of_owner = {id(owner): path for path, owner in owners}

    def held(self) -> set[int]:
        """Return the ids of the tensors in the models' states."""
        modules = [module for model in self._context.models for module in model.modules()]
        held = {id(parameter) for module in modules for parameter in module._parameters.values()}
        for module in modules:  # not state_dict(): a model can override it, with other parameters
            held |= {id(each) for name, each in module._buffers.items() if name not in module._non_persistent_buffers_set}
        return held - {id(None)}  # a parameter or a buffer can be registered as None

    def attributes(self, held: set[int]) -> dict[str, Attribute]:
        """Return the attributes by their paths from the trial. An entry of a short container that has a state is one without an owner."""
        found: dict[str, Attribute] = {}
        for path, owner in self.owners():
            for name, value in _attributes_of(owner, held):
                found[f"{path}.{name}" if path else name] = Attribute(owner, name, value)
        for path, attribute in list(found.items()):
            for key, inner in _entries_of(attribute.value):
                if self.has_state(inner):
                    found[f"{path}.{key}"] = Attribute(None, str(key), inner)
        return found

    def owners(self) -> Iterator[tuple[str, Any]]:
        """Yield the trial, objects of the definition's classes in its attributes, and modules, each with its path from the trial.

        Later, only the objects that were there after ``__init__``: the attributes of another one do not belong into it.
        """
        seen = {id(self._context), *map(id, self._without())}
        waiting: list[tuple[str, Any]] = [("", self._trial)]
        waiting += [(f"context.models.{index}", model) for index, model in enumerate(self._context.models)]
        others = 0
        while waiting and others < _MAX_OBJECTS:
            path, owner = waiting.pop(0)
            if id(owner) in seen or not self._is_known(path, owner):
                continue
            if isinstance(owner, torch.nn.Module):
                for name, module in owner.named_modules():
                    inner_path = f"{path}.{name}".rstrip(".")
                    if id(module) not in seen and self._is_known(inner_path, module):
                        seen.add(id(module))
                        yield inner_path, module
                continue
            seen.add(id(owner))
            others += 1
            yield path, owner
            for name, value in contents_of(owner):
                waiting += [(f"{path}.{name}{more}".lstrip("."), inner) for more, inner in self._objects_in(value)]

    def has_state(self, value: Any) -> bool:
        """Return whether a checkpoint holds what the ``state_dict()`` of an object returns, which ``load_state_dict()`` restores.

        These are optimizers and schedulers that the context has not wrapped, and objects of other libraries. Of an object of the
        definition's classes the attributes are kept, and the state only if they are not plain data.
        """
        if isinstance(value, _UNWRAPPED):
            return not self._is_wrapped(value)
        kind = type(value)
        if not (callable(getattr(kind, "state_dict", None)) and callable(getattr(kind, "load_state_dict", None))):
            return False
        if isinstance(value, torch.nn.Module) or self.has_no_state(value):
            return False
        return not self._is_own(value) or not all(_is_plain(inner) for _, inner in contents_of(value))

    def has_no_state(self, value: Any, depth: int = 0) -> bool:
        """Return whether a checkpoint needs nothing of an object, since it has its state elsewhere, or has none."""
        if isinstance(value, torch.nn.Module):
            return any(value is module for model in self._context.models for module in model.modules())
        if isinstance(value, _UNWRAPPED):
            return self._is_wrapped(value)
        entries = list(_entries_of(value))
        if entries:  # of a container that contains itself, the deepest entry decides
            return depth < _MAX_DEPTH and all(self.has_no_state(inner, depth + 1) or _is_plain(inner) for _, inner in entries)
        return isinstance(value, _HAVE_OWN_STATE + _HAVE_NO_STATE) or f"{type(value).__module__}.".startswith(_OTHERS_WITHOUT_STATE)

    def mark(self, value: Any, held: set[int]) -> bytes | None:
        """Return a small value that changes with the content of an object that is not plain data; None if it has no content.

        At most 5,000 values, and 64 KiB of each tensor or array, are read: the result only decides about a warning.
        """
        if self._is_elsewhere(value) and not self.has_state(value):  # its state_dict() can fail
            return None
        digest = hashlib.blake2b(digest_size=16)
        for piece in islice(self._described(value, held, set(), 0), _MAX_VALUES):
            digest.update(fingerprint(piece, _MOST_READ_BYTES))
        return digest.digest()

    def _described(self, value: Any, held: set[int], seen: set[int], depth: int) -> Iterator[Any]:
        """Yield plain data, and ids, that describe the content of a value."""
        if isinstance(value, Enum) or id(value) in held or (depth and self._is_elsewhere(value)):
            yield id(value)
        elif isinstance(value, (torch.Tensor, np.ndarray, np.generic, *_SCALARS, complex, bytes)):
            yield value
        elif id(value) in seen or depth == _MAX_DEPTH or len(seen) >= _MAX_OBJECTS:
            yield type(value).__name__
        else:
            seen.add(id(value))
            inside: list[tuple[Any, Any]] = [*contents_of(value), *_progress_of(value)]
            if isinstance(value, dict):
                inside += list(islice(dict.items(value), _MAX_VALUES))
            for kind in _SEQUENCES:  # not iter(): a subclass can load a file for each item
                if isinstance(value, kind):
                    inside += enumerate(islice(kind.__iter__(value), _MAX_VALUES))
            has_content = bool(inside) or isinstance(value, _CONTAINERS)
            yield [type(value).__name__, len(inside) if has_content else id(value)]
            for key, each in inside:
                yield key if isinstance(key, _SCALARS) else id(key)
                yield from self._described(each, held, seen, depth + 1)

    def _is_elsewhere(self, value: Any) -> bool:
        """Return whether a change of a value's content is seen in other attributes, or not at all."""
        if self._is_first_owner(value) or self.has_state(value):
            return True
        return not isinstance(value, (*_CONTAINERS, FunctionType)) and self.has_no_state(value)

    def _is_first_owner(self, value: Any) -> bool:
        path = self._of_owner.get(id(value))
        return path is not None and self._is_known(path, value)

    def _is_known(self, path: str, owner: Any) -> bool:
        return self._first_owners is None or (path in self._first_owners and self._first_owners[path].is_of(owner))

    def _is_wrapped(self, value: Any) -> bool:
        context = self._context
        wrapped = [*context.optimizers, *(one.scheduler for one in context.lr_schedulers), context.scaler]
        return any(value is one for one in wrapped)

    def _objects_in(self, value: Any) -> Iterator[tuple[str, Any]]:
        """Yield ``value``, or the objects in short containers, if they are modules or of the definition's own classes."""
        for more, inner in islice(_contained("", value, 0), _MAX_VALUES):
            if isinstance(inner, torch.nn.Module) or self._is_own(inner):
                yield more, inner

    def _is_own(self, value: Any) -> bool:
        if isinstance(value, (Enum, *_HAVE_OWN_STATE, *_HAVE_NO_STATE)):
            return False
        kind = type(value)
        return scope_of(kind) is not None or kind.__module__ == type(self._trial).__module__


def contents_of(owner: Any) -> Iterator[tuple[str, Any]]:
    """Yield the attributes of an object, also those in ``__slots__``, as of a dataclass with ``slots=True``."""
    own = getattr(owner, "__dict__", {})
    yield from list(own.items()) if isinstance(own, dict) else ()
    for kind in type(owner).__mro__:
        for name, slot in vars(kind).items():
            # Not those of built-in classes, which are no attributes of the user, such as `__globals__` of a function.
            if isinstance(slot, MemberDescriptorType) and kind.__module__ != "builtins" and hasattr(owner, name):
                yield name, getattr(owner, name)


def _contained(path: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """Yield ``value``, or what short containers contain, each with its keys."""
    if type(value) not in (list, tuple, dict):
        yield path, value
    elif depth < _MAX_DEPTH:
        for key, inner in _entries_of(value):
            yield from _contained(f"{path}.{key}", inner, depth + 1)


def _progress_of(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what changes inside of an iterator when it advances, and in the variables that a function has to itself."""
    if isinstance(value, FunctionType):
        for index, cell in enumerate(value.__closure__ or ()):
            with suppress(ValueError):  # not assigned yet
                yield f"closure {index}", cell.cell_contents
    elif isinstance(value, GeneratorType):
        if value.gi_frame is not None:
            yield "line", value.gi_frame.f_lasti
            yield from list(value.gi_frame.f_locals.items())
    elif isinstance(value, Iterator) and type(value).__module__ in ("builtins", "itertools"):
        try:
            reduced = value.__reduce__()
        except Exception:  # those of itertools cannot be pickled in newer versions of Python; user code can be inside
            reduced = repr(value)
        yield "position", reduced


def _attributes_of(owner: Any, held: set[int]) -> Iterator[tuple[str, Any]]:
    if not isinstance(owner, torch.nn.Module):
        yield from contents_of(owner)
        return
    for name, value in list(vars(owner).items()):
        # Of the private ones, torch's own can refer to parameters.
        if name not in _OF_EVERY_MODULE and (not name.startswith("_") or isinstance(value, _SCALARS)):
            yield name, value
    for tensors in (owner._parameters, owner._buffers):
        for name, tensor in tensors.items():
            if tensor is not None and id(tensor) not in held:
                yield name, tensor


def _entries_of(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the entries of a short container, with their keys or positions."""
    if type(value) in (list, tuple) and len(value) <= _MAX_ENTRIES:
        yield from enumerate(value)
    elif type(value) is dict and len(value) <= _MAX_ENTRIES:
        yield from list(value.items())


def _is_plain(value: Any) -> bool:
    try:
        Encoder(frozenset(), _SMALL_BYTES).encode(value)
    except NotPlainError:
        return False
    return True
