"""What training changes in the attributes of a trial: a hidden state, the best result so far, a teacher's weights, a rate of dropout.

Determined's checkpoints lack it. Here a checkpoint contains each attribute whose value is plain data that differs from the one after
``__init__``, by its path from the trial, and the states of objects that have a ``state_dict()``. The search covers the trial itself,
objects of the definition's own classes in its attributes, and modules. Only the values after ``__init__``, and those that the stages before
the first batch set, are kept in memory: a copy of small ones, a fingerprint of large ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import numpy as np
import torch

from detjupyter.engine.once import Once
from detjupyter.framework.warning import warn
from detjupyter.protocol.events import Until
from detjupyter.pytorch.checkpoints.attribute_search import CODE, AttributeSearch, contents_of
from detjupyter.pytorch.checkpoints.initial_values import (
    ABSENT,
    DATA,
    STAGES,
    START,
    STARTUP,
    AfterStage,
    Identity,
    Initial,
    InitialValues,
)
from detjupyter.pytorch.checkpoints.plain_data import (
    MAX_BYTES,
    Encoder,
    NotPlainError,
    TooLargeError,
    copied_plain,
    decode,
    fingerprint,
    put_into,
    same_plain,
)
from detjupyter.pytorch.checkpoints.shared_objects import (
    Attribute,
    Place,
    at,
    delete_attribute,
    objects_in,
    set_attribute,
    share,
    shared_places,
)
from detjupyter.pytorch.context import PyTorchTrialContext
from detjupyter.pytorch.trial import PyTorchTrial

_SMALL_BYTES = 1 << 20


class OwnAttributes:
    """The attributes of one trial that training can change.

    Args:
        trial: A newly built trial.
        context: Its context.
        without: Returns objects whose state a checkpoint holds elsewhere, such as the loader.
    """

    def __init__(self, trial: PyTorchTrial, context: PyTorchTrialContext, without: Callable[[], Iterable[Any]]) -> None:
        self._trial = trial
        self._device = context.device
        self._search = AttributeSearch(trial, context, without)
        self._lost: dict[str, tuple[str, int]] = {}  # what the last state lacks, with the ids of the values
        self._once = Once()
        self._after: dict[str, AfterStage] = {}
        attributes = self._search.attributes(self._search.held())
        self._initial = InitialValues(self._values(with_marks=True))
        plain = {path: attributes[path].value for path, initial in self._initial.of_init.items() if initial.has_data}
        self._shared = shared_places(plain)

    def state(self) -> dict[str, Any]:
        """Return the changed attributes for a checkpoint, with the trial's own tensors."""
        held = self._search.held()
        attributes = self._search.attributes(held)
        values, lost, others = self._compared(attributes, held)
        self._lost = {path: (what, id(attributes[path].value)) for path, what in lost.items()}
        # Changed in place: other references to the object see the change.
        of_init = self._initial.of_init
        in_place = [path for path in values if path in of_init and of_init[path].identity.is_of(attributes[path].value)]
        return {
            "values": values,
            "changed_in_place": in_place,
            **self._initial.state(),
            "deleted": [path for path, _ in self._deleted(attributes)],
            "shared": self._shared_by(attributes, values.keys()),
            "others": others,
        }

    @contextmanager
    def beginning(self, stage: str) -> Iterator[None]:
        """Note what the trial sets and deletes in the block, a stage that runs once before the first batch.

        A state from before the block differs in these attributes, but a restore does not run the block again, so they must stay. In a
        restored trial, the block must not replace what the training had changed since. But if a callback of the present code sets another
        value than that of the state did, this edit counts.
        """
        before = self._values(with_marks=False)  # of large values, which can take a second, a new object is all that is noticed
        yield
        set_now = self._initial.note(stage, before, self._values(with_marks=False))
        owners, restored = dict(self._search.owners()), self._after.pop(stage, AfterStage())
        values = {path: data for path, data in restored.values.items() if path in set_now}
        if stage != DATA:
            values = {path: data for path, data in values.items() if self._initial.is_as_in_state(stage, path)}
        share(restored.shared, self._set(owners, values, in_place=frozenset()), frozenset())
        _delete(owners, restored.deleted & set_now)

    def warn_of_others(self, states: Mapping[str, Any], *, is_reload: bool = False) -> None:
        """Warn of the changed attributes that the last :meth:`state` could not hold, once for each of them.

        Args:
            states: The states of the callbacks. A callback can hold such an attribute.
            is_reload: Whether a new trial takes over the state, for which the callbacks do not run again what they ran at the beginning.
        """
        lost = self._lost | (self._set_by_callbacks() if is_reload else {})
        in_callbacks = {id(value) for state in states.values() if isinstance(state, Mapping) for value in state.values()}
        new = self._once.new(path for path, (_, identity) in lost.items() if identity not in in_callbacks)
        if new:
            named = ", ".join(f"self.{path} ({lost[path][0]})" for path in new)
            warn(
                f"Training changed attributes that a checkpoint cannot contain: {named}. After a restore in a new session, and after a "
                "reload, they are as __init__ sets them. Keep tensors, numbers, text or containers of them there, return them in the "
                "state_dict() of a callback, or give their class the methods state_dict() and load_state_dict()."
            )

    def references(self) -> list[Attribute]:
        """Return the attributes that a state cannot hold, with their present objects, for :func:`put_back`."""
        held = self._search.held()
        attributes = self._search.attributes(held)
        _, lost, others = self._compared(attributes, held)
        return [attributes[path] for path in (*lost, *others) if attributes[path].owner is not None]

    def restore(self, state: Mapping[str, Any], *, begun: Set[str], before: OwnAttributes | None = None) -> None:
        """Set the changed attributes to those in a state, and all others to the values with which a training begins.

        Args:
            state: A state that :meth:`state` returned.
            begun: The stages that had run before the state.
            before: The attributes of the trial's earlier version in a reload. Where its ``__init__`` set other values, the edit counts.
        """
        held = self._search.held()
        attributes = self._search.attributes(held)
        deleted = set(state.get("deleted", ()))  # states of earlier versions lack some of the keys
        values, lost, others = self._compared(attributes, held)
        stay = set(state.get("others", others))
        changed = {path: attributes[path] for path in (*values, *lost, *(path for path in others if path not in stay))}
        changed |= {path: Attribute(owner, path.rpartition(".")[2], None) for path, owner in self._deleted(attributes)}
        reset = {path: attribute for path, attribute in changed.items() if path not in state["values"] and path not in deleted}
        self._reset(reset, begun)
        # Those that a stage had set after the state have other places.
        reset = {path: each for path, each in reset.items() if self._initial.after(path, begun) is self._initial.of_init.get(path)}
        kept = {path for path, attribute in reset.items() if self._initial.of_init[path].identity.is_of(attribute.value)}
        share(self._shared, reset, kept)
        owners, in_place = dict(self._search.owners()), set(state["changed_in_place"])
        values = {path: data for path, data in state["values"].items() if before is None or not self._is_edited(path, before)}
        shared = state.get("shared", ())
        there = self._set(owners, values, in_place=in_place)
        share(
            shared, there | self._unchanged(shared, state["values"].keys(), there), in_place | self._initial.of_init.keys() - there.keys()
        )
        _delete(owners, deleted & set(self._initial))
        self._initial.note_state(state)
        self._once = self._once if before is None else before._once  # a trial that takes over the state says nothing again
        self._after = {}
        for stage in STAGES:
            of_stage, objects = state.get(f"of_{stage}", {}), set(state.get(f"objects_of_{stage}", ()))
            changed_since = {path for path, data in values.items() if path in of_stage and not same_plain(of_stage[path], data)}
            since = {path: data for path, data in values.items() if path in objects or path in changed_since}
            self._after[stage] = AfterStage(since, shared, deleted)

    def _compared(self, attributes: Mapping[str, Attribute], held: set[int]) -> tuple[dict[str, Any], dict[str, str], list[str]]:
        """Compare the attributes with those after ``__init__``.

        Returns:
            The changed attributes as plain data; what the others are that training has changed and that are not plain data; and those that
            training has set to objects without a state.
        """
        values: dict[str, Any] = {}
        lost: dict[str, str] = {}
        others: list[str] = []
        targets: dict[int, str] | None = None
        for path, attribute in attributes.items():
            value, initial, latest = attribute.value, self._initial.of_init.get(path, ABSENT), self._initial.latest(path)
            is_same_object = latest.identity.is_of(value)
            if attribute.owner is None and not is_same_object:
                continue  # the container has changed
            what: str | None = None
            try:
                if initial.mark is not None and initial.mark == self._mark(value, held):
                    continue
                data = self._encoded(value, held, MAX_BYTES)
            except TooLargeError:
                # Of a large value that a stage has set, whether its content has changed is unknown.
                what = None if is_same_object and latest.mark is None else "larger than 64 MiB"
            except NotPlainError:
                if not is_same_object:
                    targets = self._targets(attributes) if targets is None else targets
                    if id(value) in targets:
                        values[path] = "alias", targets[id(value)]
                    elif isinstance(value, CODE) and not (latest is ABSENT or latest.has_data):
                        what = f"{type(value).__name__} {getattr(value, '__name__', '')}".strip()  # a loss function, for example
                    elif self._search.has_no_state(value):
                        others.append(path)
                    elif not (isinstance(attribute.owner, torch.nn.Module) and attribute.name.startswith("_")):
                        what = type(value).__name__
                elif latest.has_data or (latest.mark is not None and latest.mark != self._mark(value, held)):
                    what = None if self._search.has_no_state(value) else type(value).__name__
                    what = f"function {value.__name__}" if isinstance(value, FunctionType) else what  # a closure
            else:
                if self._search.has_state(value) and not is_same_object:
                    what = type(value).__name__  # __init__ of another trial creates no object that could get the state
                elif latest is not initial or not initial.has_data or not same_plain(initial.data, data):
                    values[path] = data  # also what __init__ sets, if a stage sets something else
            if what is not None:
                lost[path] = what
        return values, lost, others

    def _targets(self, attributes: Mapping[str, Attribute]) -> dict[int, str]:
        """Return the paths of objects that training has not replaced, by their ids: another attribute can refer to one of them."""
        unchanged = {
            path: each.value
            for path, each in attributes.items()
            if each.owner is not None and self._initial.latest(path).identity.is_of(each.value) and not self._initial.latest(path).has_data
        }
        named = {**unchanged, **dict(self._search.owners())}
        return {id(value): path for path, value in reversed(named.items()) if value is not None}

    def _shared_by(self, attributes: Mapping[str, Attribute], changed: Set[str]) -> list[list[Place]]:
        """Return the places of objects in several attributes, of which training has changed at least one."""
        inside = {id(inner) for path in changed for _, inner in objects_in(attributes[path].value)}
        if not inside:
            return []
        found = {path: attributes[path].value for path in changed}
        for path, attribute in attributes.items():
            initial = self._initial.latest(path)
            if path not in changed and initial.identity.is_of(attribute.value):
                is_small = initial.has_data and any(id(inner) in inside for _, inner in objects_in(attribute.value))
                if is_small or (isinstance(attribute.value, (torch.Tensor, np.ndarray)) and id(attribute.value) in inside):
                    found[path] = attribute.value
        return [places for places in shared_places(found) if any(path in changed for path, _ in places)]

    def _unchanged(self, shared: Iterable[Iterable[Place]], changed: Set[str], there: Mapping[str, Attribute]) -> dict[str, Attribute]:
        """Return the attributes that training had not changed, but that contain an object of a changed one; not if an edit changed it."""
        wanted = {path for places in shared for path, _ in places} - changed
        if not wanted:
            return {}
        held = self._search.held()
        attributes = self._search.attributes(held)
        found = {}
        for path in wanted & attributes.keys():
            partners = {**there, path: attributes[path]}
            if all(_is_equal_at(places, partners, held) for places in shared if any(place[0] == path for place in places)):
                found[path] = attributes[path]
        return found

    def _set_by_callbacks(self) -> dict[str, tuple[str, int]]:
        """Return what callbacks set before the first batch and a state cannot hold."""
        held, found = self._search.held(), {}
        for path, attribute in self._search.attributes(held).items():
            value, initial = attribute.value, self._initial.after(path, (STARTUP, START))
            if self._initial.latest(path) is not initial and not self._search.has_no_state(value):
                try:
                    self._encoded(value, held, MAX_BYTES)
                except NotPlainError:
                    found[path] = type(value).__name__, id(value)
        return found

    def _deleted(self, attributes: Mapping[str, Attribute]) -> list[tuple[str, Any]]:
        """Return the attributes that ``__init__`` or a stage set and training deleted, each with its owner."""
        owners = dict(self._search.owners())
        gone = set(self._initial) - attributes.keys() - self._initial.deleted
        with_owners = [(path, owners.get(path.rpartition(".")[0])) for path in sorted(gone)]
        return [(path, owner) for path, owner in with_owners if owner is not None and not hasattr(owner, path.rpartition(".")[2])]

    def _encoded(self, value: Any, held: set[int], limit_bytes: int) -> Any:
        encoder = Encoder(held, limit_bytes)
        if not self._search.has_state(value):
            return encoder.encode(value)
        try:
            state = value.state_dict()
        except Exception:  # code of another library, which can raise any class
            raise NotPlainError from None
        return "state", encoder.encode(dict(state) if isinstance(state, Mapping) else state)

    def _values(self, *, with_marks: bool) -> dict[str, Initial]:
        held = self._search.held()
        attributes = self._search.attributes(held)
        return {path: self._initial_of(each.value, held, with_marks=with_marks) for path, each in attributes.items()}

    def _initial_of(self, value: Any, held: set[int], *, with_marks: bool) -> Initial:
        try:
            return Initial(Identity(value, keep=True), has_data=True, data=copied_plain(self._encoded(value, held, _SMALL_BYTES)))
        except TooLargeError:
            return Initial(Identity(value, keep=False), mark=self._mark(value, held) if with_marks else None)
        except NotPlainError:
            return Initial(Identity(value, keep=not isinstance(value, (list, tuple, dict))), mark=self._mark(value, held))

    def _mark(self, value: Any, held: set[int]) -> Any:
        try:
            Encoder(held, _SMALL_BYTES).encode(value)
        except TooLargeError:
            return fingerprint(value)
        except NotPlainError:
            return self._search.mark(value, held)
        return None

    def _set(self, owners: Mapping[str, Any], values: Mapping[str, Any], *, in_place: Set[str]) -> dict[str, Attribute]:
        """Set the attributes whose owners are there to ``values``, which are plain data, and return them."""
        there: dict[str, Attribute] = {}
        missing: list[str] = []
        attributes = self._search.attributes(self._search.held())
        for path, data in values.items():
            owner_path, _, name = path.rpartition(".")
            kind = data[0] if isinstance(data, tuple) else None
            if kind == "state":
                if path in attributes and self._search.has_state(attributes[path].value):
                    attributes[path].value.load_state_dict(decode(data[1], self._device, self._trial))
            elif owner_path in owners:
                owner = owners[owner_path]
                if kind == "alias":
                    target = owners[data[1]] if data[1] in owners else attributes[data[1]].value if data[1] in attributes else None
                    if target is None:
                        missing.append(f"self.{path} was self.{data[1]}, which the code does not create")
                    else:
                        set_attribute(owner, name, target)
                    continue
                try:
                    value = decode(data, self._device, self._trial)
                except LookupError as error:
                    missing.append(f"self.{path}: {error}")
                    continue
                _put(owner, name, value, in_place=path in in_place)
                there[path] = Attribute(owner, name, getattr(owner, name, None))
        if missing:
            warn(f"Attributes in the state do not fit the code, and keep their present values: {'; '.join(missing)}.", Until.RESTORE)
        return there

    def _reset(self, attributes: Mapping[str, Attribute], begun: Set[str]) -> None:
        """Set attributes to the values with which a trial begins that continues from a state after the stages ``begun``."""
        values: dict[str, Any] = {}
        in_place: set[str] = set()
        stay: list[str] = []
        for path, attribute in attributes.items():
            initial = self._initial.after(path, begun)
            if initial is ABSENT and attribute.owner is None:  # in a container of a callback, which stays
                initial = self._initial.latest(path)
            is_same_object = initial.identity.is_of(attribute.value)
            if initial is ABSENT:
                delete_attribute(attribute.owner, attribute.name)
            elif initial.has_data:
                values[path] = initial.data
                in_place |= {path} if is_same_object else set()
            elif not is_same_object or initial.mark is not None:
                stay.append(f"self.{path}")
        self._set(dict(self._search.owners()), values, in_place=in_place)
        if stay:
            named = ", ".join(stay)
            warn(f"There is no copy of the first values of {named} (large values, or objects), so they stay as they are.", Until.RESTORE)

    def _is_edited(self, path: str, before: OwnAttributes) -> bool:
        mine, theirs = self._initial.of_init.get(path, ABSENT), before._initial.of_init.get(path, ABSENT)
        return mine.has_data and theirs.has_data and not same_plain(mine.data, theirs.data)


def put_back(references: Iterable[Attribute]) -> None:
    """Set attributes to the objects that they were when :meth:`OwnAttributes.references` was called."""
    for attribute in references:
        if getattr(attribute.owner, attribute.name, None) is not attribute.value:
            set_attribute(attribute.owner, attribute.name, attribute.value)


def _put(owner: Any, name: str, value: Any, *, in_place: bool) -> None:
    current = getattr(owner, name, None)
    is_trained = isinstance(current, torch.Tensor) and current.is_leaf and current.requires_grad  # an optimizer may refer to it
    is_parameter = isinstance(current, torch.nn.Parameter)  # of a module, which accepts no other tensor in its place
    if (in_place or is_trained or is_parameter) and put_into(current, value):
        return
    if not is_parameter:
        set_attribute(owner, name, value)


def _delete(owners: Mapping[str, Any], paths: Iterable[str]) -> None:
    for path in paths:
        owner_path, _, name = path.rpartition(".")
        if owner_path in owners and name in dict(contents_of(owners[owner_path])):
            delete_attribute(owners[owner_path], name)


def _is_equal_at(places: Iterable[Place], attributes: Mapping[str, Attribute], held: set[int]) -> bool:
    """Return whether the objects at the places are there and are equal, as far as their attributes are given."""
    try:
        found = [Encoder(held, MAX_BYTES).encode(at(attributes[path], positions)) for path, positions in places if path in attributes]
    except (LookupError, TypeError, AttributeError, NotPlainError):
        return False
    return all(same_plain(found[0], other) for other in found[1:])
