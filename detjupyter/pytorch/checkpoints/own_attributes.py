"""What training changes in the attributes of a trial: a hidden state, the best result so far, a teacher's weights, a rate of dropout.

Determined's checkpoints lack it. Here a checkpoint contains each attribute whose value is plain data that differs from the one after
``__init__``, by its path from the trial. The search covers the trial itself, objects of the definition's own classes in its attributes, and
modules. Only the values after ``__init__``, and those that the building of the data sets, are kept in memory: a copy of small ones, a
fingerprint of large ones.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from types import BuiltinFunctionType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch

from detjupyter.definition.isolation.finding import scope_of
from detjupyter.engine.once import Once
from detjupyter.pytorch.callbacks import PyTorchCallback
from detjupyter.pytorch.checkpoints.plain_data import (
    Encoder,
    NotPlainError,
    TooLargeError,
    copied_plain,
    decode,
    fingerprint,
    put_into,
    same_plain,
)
from detjupyter.pytorch.checkpoints.shared_objects import Attribute, Place, share, shared_places
from detjupyter.pytorch.context import PyTorchTrialContext
from detjupyter.pytorch.custom_reducers import MetricReducer
from detjupyter.pytorch.data.data_loader import DataLoader
from detjupyter.pytorch.trial import PyTorchTrial

logger = logging.getLogger("detjupyter")

_SMALL_BYTES = 1 << 20
_MAX_BYTES = 64 << 20
_MAX_OBJECTS = 500
_MAX_ENTRIES = 64
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
# Their state_dict() is plain data, and is kept if the context has not wrapped them. Its form: ("state", the plain data).
_STATEFUL = (torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler, torch.amp.GradScaler)
_HAVE_NO_STATE = (type, FunctionType, MethodType, BuiltinFunctionType, ModuleType, logging.Logger, torch.device, torch.dtype)
_OTHERS_WITHOUT_STATE = ("torch.utils.tensorboard", "tensorboardX", "detjupyter.pytorch", "threading", "_thread")


@dataclass(frozen=True, slots=True)
class Initial:
    """The value of an attribute after ``__init__``, or after the data was built.

    Attributes:
        identity: The id of the object.
        has_data: Whether ``data`` is a copy of the value as plain data. It is not if the value is large or not plain.
        data: The copy.
        mark: The fingerprint of a large value, None for the others.
    """

    identity: int
    has_data: bool = False
    data: Any = None
    mark: Any = None


_ABSENT = Initial(0)


@dataclass(frozen=True, slots=True)
class AfterData:
    """What of a restored state the building of the data would undo, and therefore follows it, too.

    Attributes:
        values: The attributes that the data had set and training had changed since, as plain data.
        shared: The places of objects in several of the state's attributes.
        deleted: The attributes that training had deleted.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    shared: Sequence[Sequence[Place]] = ()
    deleted: Set[str] = frozenset()


class OwnAttributes:
    """The attributes of one trial that training can change.

    Args:
        trial: A newly built trial.
        context: Its context.
        without: Returns objects whose state a checkpoint holds elsewhere, such as the loader.
    """

    def __init__(self, trial: PyTorchTrial, context: PyTorchTrialContext, without: Callable[[], Iterable[Any]]) -> None:
        self._trial = trial
        self._context = context
        self._without = without
        self._lost: dict[str, tuple[str, int]] = {}  # what the last state lacks, with the ids of the values
        self._once = Once()
        self._owner_ids: dict[str, int] | None = None
        self._of_data: dict[str, Initial] = {}  # what the building of the data has set
        self._deleted_by_data: Set[str] = frozenset()
        self._of_data_in_state: Mapping[str, Any] = {}  # what it had set in the restored state, as plain data
        self._after_data = AfterData()
        attributes = self._attributes(self._held())
        self._initial = self._values(with_marks=True)
        self._shared = shared_places({path: attributes[path].value for path, initial in self._initial.items() if initial.has_data})
        self._owner_ids = {path: id(owner) for path, owner in self._owners()}

    def state(self) -> dict[str, Any]:
        """Return the changed attributes for a checkpoint, with the trial's own tensors."""
        held = self._held()
        attributes = self._attributes(held)
        values, lost = self._compared(attributes, held)
        self._lost = {path: (what, id(attributes[path].value)) for path, what in lost.items()}
        # Changed in place: other references to the object see the change.
        in_place = [path for path in values if path in self._initial and self._initial[path].identity == id(attributes[path].value)]
        of_data = {path: value.data for path, value in self._of_data.items() if value.has_data}
        return {
            "values": values,
            "changed_in_place": in_place,
            "of_data": {**self._of_data_in_state, **of_data},
            "deleted": [path for path, _ in self._deleted(attributes)],
            "shared": shared_places({path: attributes[path].value for path in values}),
        }

    @contextmanager
    def building_data(self) -> Iterator[None]:
        """Note what the trial sets and deletes in the block, in which it builds its training data once.

        A state from before the block differs in these attributes, but a restore does not build the data again, so they must stay. In a
        restored trial, the block must not replace what the training had changed since.
        """
        before = self._values(with_marks=False)  # of large values, which can take a second, a new object is all that is noticed
        yield
        after = self._values(with_marks=False)
        self._of_data = {path: value for path, value in after.items() if path not in before or not _is_same(before[path], value)}
        self._deleted_by_data = before.keys() - after.keys()
        owners, restored = dict(self._owners()), self._after_data
        values = {path: data for path, data in restored.values.items() if path in self._of_data}
        share(restored.shared, self._set(owners, values, in_place=frozenset()), frozenset())
        _delete(owners, restored.deleted & self._of_data.keys())
        self._after_data = AfterData()

    def warn_of_others(self, states: Mapping[str, Any]) -> None:
        """Log a warning that names the changed attributes that the last :meth:`state` could not hold, once for each of them.

        Args:
            states: The states of the callbacks. A callback can hold such an attribute.
        """
        in_callbacks = {id(value) for state in states.values() if isinstance(state, Mapping) for value in state.values()}
        new = self._once.new(path for path, (_, identity) in self._lost.items() if identity not in in_callbacks)
        if new:
            logger.warning(
                "Training changed attributes that a checkpoint cannot contain: %s. After a restore they are as __init__ sets them. "
                "Keep tensors, numbers, text or containers of them there, or return them in the state_dict() of a callback.",
                ", ".join(f"self.{path} ({self._lost[path][0]})" for path in new),
            )

    def restore(self, state: Mapping[str, Any], *, had_data: bool, before: OwnAttributes | None = None) -> None:
        """Set the changed attributes to those in a state, and all others to the values with which a training begins.

        Args:
            state: A state that :meth:`state` returned.
            had_data: Whether the state is from after the data was built.
            before: The attributes of the trial's earlier version in a reload. Where its ``__init__`` set other values, the edit counts.
        """
        held = self._held()
        attributes = self._attributes(held)
        deleted = set(state.get("deleted", ()))  # states of earlier versions lack some of the keys
        changed = {path: attributes[path] for path in self._compared(attributes, held)[0]}
        changed |= {path: Attribute(owner, path.rpartition(".")[2], None) for path, owner in self._deleted(attributes)}
        reset = {path: attribute for path, attribute in changed.items() if path not in state["values"] and path not in deleted}
        for path, attribute in reset.items():
            self._reset(path, attribute, had_data=had_data)
        if not had_data:  # the values of the data have other places
            reset = {path: attribute for path, attribute in reset.items() if path not in self._of_data}
        kept = {path for path, attribute in reset.items() if self._initial.get(path, _ABSENT).identity == id(attribute.value)}
        share(self._shared, reset, kept)
        owners, in_place = dict(self._owners()), set(state["changed_in_place"])
        values = {path: data for path, data in state["values"].items() if before is None or not self._is_edited(path, before)}
        shared = state.get("shared", ())
        share(shared, self._set(owners, values, in_place=in_place), in_place)
        _delete(owners, deleted & (self._initial.keys() | self._of_data.keys()))
        of_data = self._of_data_in_state = state.get("of_data", {})
        changed_since = {path: data for path, data in values.items() if path in of_data and not same_plain(of_data[path], data)}
        self._after_data = AfterData(changed_since, shared, deleted)

    def _deleted(self, attributes: Mapping[str, Attribute]) -> list[tuple[str, Any]]:
        """Return the attributes that ``__init__`` or the data set and training deleted, each with its owner."""
        owners = dict(self._owners())
        gone = (self._initial.keys() | self._of_data.keys()) - attributes.keys() - self._deleted_by_data
        with_owners = [(path, owners.get(path.rpartition(".")[0])) for path in sorted(gone)]
        return [(path, owner) for path, owner in with_owners if owner is not None and not hasattr(owner, path.rpartition(".")[2])]

    def _compared(self, attributes: Mapping[str, Attribute], held: set[int]) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the changed attributes as plain data, and what the others are that have changed and are not plain data."""
        values: dict[str, Any] = {}
        lost: dict[str, str] = {}
        for path, attribute in attributes.items():
            value, initial = attribute.value, self._initial.get(path, _ABSENT)
            if initial.mark is not None and initial.mark == _mark(value):
                continue
            try:
                data = self._encoded(value, held, _MAX_BYTES)
            except TooLargeError:
                lost[path] = "larger than 64 MiB"
            except NotPlainError:
                # Whether the content of the same object has changed is unknown.
                if initial.identity != id(value) and not self._has_no_state(value):
                    lost[path] = type(value).__name__
            else:
                if isinstance(value, _STATEFUL) and initial.identity != id(value):
                    lost[path] = type(value).__name__  # __init__ of another trial creates no object that could get the state
                elif not initial.has_data or not same_plain(initial.data, data):
                    values[path] = data
        return values, lost

    def _encoded(self, value: Any, held: set[int], limit_bytes: int) -> Any:
        encoder = Encoder(held, limit_bytes)
        if isinstance(value, _STATEFUL) and not self._is_wrapped(value):
            return "state", encoder.encode(dict(value.state_dict()))
        return encoder.encode(value)

    def _initial_of(self, value: Any, held: set[int], *, with_mark: bool) -> Initial:
        try:
            return Initial(id(value), has_data=True, data=copied_plain(self._encoded(value, held, _SMALL_BYTES)))
        except TooLargeError:
            return Initial(id(value), mark=_mark(value) if with_mark else None)
        except NotPlainError:
            return Initial(id(value))

    def _is_wrapped(self, value: Any) -> bool:
        context = self._context
        wrapped = [*context.optimizers, *(one.scheduler for one in context.lr_schedulers), context.scaler]
        return any(value is one for one in wrapped)

    def _set(self, owners: Mapping[str, Any], values: Mapping[str, Any], *, in_place: Set[str]) -> dict[str, Attribute]:
        """Set the attributes whose owners are there to ``values``, which are plain data, and return them."""
        there: dict[str, Attribute] = {}
        for path, data in values.items():
            owner_path, _, name = path.rpartition(".")
            if owner_path in owners:
                owner = owners[owner_path]
                _set(owner, name, data, self._context.device, in_place=path in in_place)
                there[path] = Attribute(owner, name, getattr(owner, name, None))
        return there

    def _reset(self, path: str, attribute: Attribute, *, had_data: bool) -> None:
        initial = self._initial.get(path, _ABSENT)
        if not had_data and path in self._of_data:
            initial = self._of_data[path]
            if not initial.has_data and initial.identity == id(attribute.value):
                return
        if initial is _ABSENT:
            delattr(attribute.owner, attribute.name)
        elif initial.has_data:
            in_place = initial.identity == id(attribute.value)
            _set(attribute.owner, attribute.name, initial.data, self._context.device, in_place=in_place)
        else:
            logger.warning("There is no copy of the first value of self.%s (a large value, or an object), so it stays as it is.", path)

    def _is_edited(self, path: str, before: OwnAttributes) -> bool:
        mine, theirs = self._initial.get(path, _ABSENT), before._initial.get(path, _ABSENT)
        return mine.has_data and theirs.has_data and not same_plain(mine.data, theirs.data)

    def _held(self) -> set[int]:
        """Return the ids of the tensors in the models' states."""
        modules = [module for model in self._context.models for module in model.modules()]
        held = {id(parameter) for module in modules for parameter in module._parameters.values()}
        for module in modules:  # not state_dict(): a model can override it, with other parameters
            held |= {id(each) for name, each in module._buffers.items() if name not in module._non_persistent_buffers_set}
        return held - {id(None)}

    def _has_no_state(self, value: Any) -> bool:
        if isinstance(value, torch.nn.Module):
            return any(value is module for model in self._context.models for module in model.modules())
        return isinstance(value, _HAVE_OWN_STATE + _HAVE_NO_STATE) or type(value).__module__.startswith(_OTHERS_WITHOUT_STATE)

    def _values(self, *, with_marks: bool) -> dict[str, Initial]:
        held = self._held()
        return {path: self._initial_of(each.value, held, with_mark=with_marks) for path, each in self._attributes(held).items()}

    def _attributes(self, held: set[int]) -> dict[str, Attribute]:
        return {
            f"{path}.{name}" if path else name: Attribute(owner, name, value)
            for path, owner in self._owners()
            for name, value in _attributes_of(owner, held)
        }

    def _owners(self) -> Iterator[tuple[str, Any]]:
        """Yield the trial, objects of the definition's classes in its attributes, and modules, each with its path from the trial.

        Later, only the objects that were there after ``__init__``: the attributes of another one do not belong into it.
        """
        wanted = self._owner_ids
        for path, owner in self._owners_now():
            if wanted is None or wanted.get(path) == id(owner):
                yield path, owner

    def _owners_now(self) -> Iterator[tuple[str, Any]]:
        seen = {id(self._context), *map(id, self._without())}
        waiting: list[tuple[str, Any]] = [("", self._trial)]
        waiting += [(f"context.models.{index}", model) for index, model in enumerate(self._context.models)]
        others = 0
        while waiting and others < _MAX_OBJECTS:
            path, owner = waiting.pop(0)
            if id(owner) in seen:
                continue
            if isinstance(owner, torch.nn.Module):
                for name, module in owner.named_modules():
                    if id(module) not in seen:
                        seen.add(id(module))
                        yield f"{path}.{name}".rstrip("."), module
                continue
            seen.add(id(owner))
            others += 1
            yield path, owner
            for name, value in _contents_of(owner):
                waiting += [(f"{path}.{name}{more}".lstrip("."), inner) for more, inner in self._objects_in(value)]

    def _objects_in(self, value: Any) -> Iterator[tuple[str, Any]]:
        """Yield ``value``, or the objects in a short container, if they are modules or of the definition's own classes."""
        inside: list[tuple[str, Any]] = [("", value)]
        if type(value) in (list, tuple) and len(value) <= _MAX_ENTRIES:
            inside = [(f".{index}", inner) for index, inner in enumerate(value)]
        elif type(value) is dict and len(value) <= _MAX_ENTRIES:
            inside = [(f".{key}", inner) for key, inner in value.items()]
        for more, inner in inside:
            if isinstance(inner, torch.nn.Module) or self._is_own(inner):
                yield more, inner

    def _is_own(self, value: Any) -> bool:
        if isinstance(value, (Enum, *_HAVE_OWN_STATE, *_HAVE_NO_STATE)):
            return False
        kind = type(value)
        return scope_of(kind) is not None or kind.__module__ == type(self._trial).__module__


def _contents_of(owner: Any) -> Iterator[tuple[str, Any]]:
    """Yield the attributes of an object, also those in ``__slots__``, as of a dataclass with ``slots=True``."""
    yield from list(getattr(owner, "__dict__", {}).items())
    for kind in type(owner).__mro__:
        for name, slot in vars(kind).items():
            if isinstance(slot, MemberDescriptorType) and hasattr(owner, name):
                yield name, getattr(owner, name)


def _attributes_of(owner: Any, held: set[int]) -> Iterator[tuple[str, Any]]:
    if not isinstance(owner, torch.nn.Module):
        yield from _contents_of(owner)
        return
    for name, value in list(vars(owner).items()):
        if name not in _OF_EVERY_MODULE and not name.startswith("_"):
            yield name, value
    for tensors in (owner._parameters, owner._buffers):
        for name, tensor in tensors.items():
            if tensor is not None and id(tensor) not in held:
                yield name, tensor


def _is_same(one: Initial, two: Initial) -> bool:
    if one.has_data and two.has_data:
        return same_plain(one.data, two.data)
    return one.identity == two.identity


def _mark(value: Any) -> Any:
    return fingerprint(value) if hasattr(value, "__len__") else None


def _set(owner: Any, name: str, data: Any, device: torch.device, *, in_place: bool) -> None:
    current = getattr(owner, name, None)
    if isinstance(data, tuple) and data[0] == "state":
        if isinstance(current, _STATEFUL):
            current.load_state_dict(decode(data[1], device))
        return
    value = decode(data, device)
    is_trained = isinstance(current, torch.Tensor) and current.is_leaf and current.requires_grad  # an optimizer may refer to it
    is_parameter = isinstance(current, torch.nn.Parameter)  # of a module, which accepts no other tensor in its place
    if (in_place or is_trained or is_parameter) and put_into(current, value):
        return
    if not is_parameter:
        setattr(owner, name, value)


def _delete(owners: Mapping[str, Any], paths: Iterable[str]) -> None:
    for path in paths:
        owner_path, _, name = path.rpartition(".")
        if owner_path in owners and name in dict(_contents_of(owners[owner_path])):
            delattr(owners[owner_path], name)
