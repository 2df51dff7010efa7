"""The values of attributes with which a training begins: those of ``__init__``, and of what else runs before the first batch."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from detjupyter.pytorch.checkpoints.plain_data import same_plain
from detjupyter.pytorch.checkpoints.shared_objects import Place

STARTUP, DATA, START = "startup", "data", "start"
STAGES = (STARTUP, DATA, START)
"""What runs once between ``__init__`` and the first batch: ``on_trial_startup``, the building of the data, and ``on_training_start``."""


class Identity:
    """Recognizes an object later. Its id alone does not: when an object is freed, another one can get the same id.

    Args:
        value: The object.
        keep: Whether an object without weak references, such as a list, is kept alive. If not, its id has to suffice.
    """

    __slots__ = ("_id", "_is_weak", "_reference")

    def __init__(self, value: object, *, keep: bool) -> None:
        self._id = id(value)
        try:
            self._reference: object = weakref.ref(value)
            self._is_weak = True
        except TypeError:
            self._reference = value if keep else None
            self._is_weak = False

    def is_of(self, value: object) -> bool:
        """Return whether ``value`` is the object."""
        # While an object lives, all its weak references are one. This one is not called: to hold a tensor, torch must prepare it first.
        return self._id == id(value) and (not self._is_weak or self._reference is weakref.ref(value))

    def is_same(self, other: Identity) -> bool:
        """Return whether both are of the same object."""
        return self._id == other._id and self._reference is other._reference


NOTHING = Identity(object(), keep=True)


@dataclass(frozen=True, slots=True)
class Initial:
    """The value of an attribute after ``__init__``, or after one of the stages.

    Attributes:
        identity: Recognizes the object.
        has_data: Whether ``data`` is a copy of the value as plain data. It is not if the value is large or not plain.
        data: The copy.
        mark: A fingerprint of the content of a large value, or of an object that is not plain data; None for other values.
    """

    identity: Identity
    has_data: bool = False
    data: Any = None
    mark: Any = None

    @property
    def kind(self) -> str | None:
        """The kind of the plain data: ``state`` for that of an object with a state, None for numbers, text and what is not plain."""
        return self.data[0] if isinstance(self.data, tuple) else None

    def is_same(self, other: Initial) -> bool:
        """Return whether both are the same value, as far as that is known. Of objects with a state, another equal one is not the same."""
        if self.has_data != other.has_data:
            return False
        is_same_object = self.identity.is_same(other.identity)
        return same_plain(self.data, other.data) and (is_same_object or self.kind != "state") if self.has_data else is_same_object


ABSENT = Initial(NOTHING)


@dataclass(frozen=True, slots=True)
class AfterStage:
    """The part of a restored state that a stage would undo, so that it is restored again after the stage.

    Attributes:
        values: The attributes that the stage had set and training had changed since, as plain data.
        shared: The places of objects in several of the state's attributes.
        deleted: The attributes that training had deleted.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    shared: Sequence[Sequence[Place]] = ()
    deleted: Set[str] = frozenset()


class InitialValues:
    """The values of the attributes of one trial after ``__init__`` and after each stage.

    Args:
        of_init: Those after ``__init__``.
    """

    def __init__(self, of_init: Mapping[str, Initial]) -> None:
        self.of_init = of_init
        self._stages: dict[str, dict[str, Initial]] = {}
        self._in_state: dict[str, Mapping[str, Any]] = {}  # what a stage had set in the restored state, as plain data
        self._objects_in_state: dict[str, Set[str]] = {}  # what else a stage had set in it
        self.deleted: set[str] = set()
        """The attributes that a stage has deleted."""

    def __iter__(self) -> Iterator[str]:
        """Iterate over the paths of all attributes."""
        yield from self.of_init.keys() | {path for stage in self._stages.values() for path in stage}

    def note(self, stage: str, before: Mapping[str, Initial], after: Mapping[str, Initial]) -> Set[str]:
        """Note what a stage has set and deleted, and return the attributes that it has set."""
        found = {path: value for path, value in after.items() if path not in before or not before[path].is_same(value)}
        self._stages[stage] = found
        self.deleted |= before.keys() - after.keys()
        self.deleted -= found.keys()
        return found.keys()

    def note_state(self, state: Mapping[str, Any]) -> None:
        """Note what the stages had set in a state that is restored."""
        self._in_state = {stage: state.get(f"of_{stage}", {}) for stage in STAGES}
        self._objects_in_state = {stage: set(state.get(f"objects_of_{stage}", ())) for stage in STAGES}  # earlier versions lack it

    def state(self) -> dict[str, Any]:
        """Return what each stage has set: plain data, and the paths of what is not."""
        objects = {
            f"objects_of_{stage}": sorted(
                {path for path, value in self._stages.get(stage, {}).items() if not value.has_data}
                | self._objects_in_state.get(stage, set())
            )
            for stage in STAGES
        }
        return objects | {
            f"of_{stage}": {
                **self._in_state.get(stage, {}),
                **{path: value.data for path, value in self._stages.get(stage, {}).items() if value.has_data},
            }
            for stage in STAGES
        }

    def is_as_in_state(self, stage: str, path: str) -> bool:
        """Return whether a stage has set an attribute to the value to which it had set it in the restored state; any object counts."""
        mine = self._stages[stage][path]
        if not mine.has_data:
            return path in self._objects_in_state.get(stage, set())
        return path in self._in_state.get(stage, {}) and same_plain(mine.data, self._in_state[stage][path])

    def latest(self, path: str) -> Initial:
        """Return the value with which the training has begun."""
        return self.after(path, ())

    def after(self, path: str, stages: Set[str] | Sequence[str]) -> Initial:
        """Return the value with which a trial begins that continues from a state.

        Args:
            path: The attribute.
            stages: The stages before the state: what these had set is in the state. The others do not run again.
        """
        for stage in reversed(STAGES):
            if stage in stages:
                continue
            if path in self._stages.get(stage, {}):
                return self._stages[stage][path]
            if path in self._in_state.get(stage, {}):
                value = Initial(NOTHING, has_data=True, data=self._in_state[stage][path])
                # A restore loads a state into the object of __init__.
                return replace(value, identity=self.of_init.get(path, ABSENT).identity) if value.kind == "state" else value
        return self.of_init.get(path, ABSENT)
