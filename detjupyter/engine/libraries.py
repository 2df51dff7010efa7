"""The settings that Python and libraries offer, of the process and of a thread.

One :class:`Library` describes the settings of each library. It is used only after other code has imported that library.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from detjupyter.framework.built_in import settings_modules

Plain: TypeAlias = str | int | float | bool


class Setting:
    """One process-wide setting.

    Attributes:
        name: A unique name: the call that sets it, as users write it.
        is_shareable: Whether trials with different values can work concurrently, all with the value of the one that began last. One example
            is a list that libraries add entries to at their first import.

    Thread: any, one at a time.
    """

    name: str
    is_shareable = False

    def read(self) -> Any:
        """Return the value in force, as a copy that later changes do not affect."""
        raise NotImplementedError

    def write(self, value: Any) -> None:
        """Put in force a value that :meth:`read` returned."""
        raise NotImplementedError

    def holds(self, value: Any) -> bool:
        """Return whether ``value`` is in force. Called for every setting when a trial begins or ends its work, so it must be fast."""
        return bool(self.read() == value)

    def initial(self) -> Any:
        """Return the default value, for a library that a trial is the first to import; the value in force may be the trial's own."""
        return self.read()

    def merged(self, before: Any, after: Any, onto: Any) -> Any:  # noqa: ARG002 -- a single value has no parts to merge
        """Return ``onto`` with the changes from ``before`` to ``after`` applied."""
        return after

    def was_replaced(self) -> bool:
        """Return whether other code has replaced the object that contains the value."""
        return False


class Value(Setting):
    """A setting with one function that reads it and one that writes it.

    Args:
        name: The call that sets it.
        read: Returns the value in force.
        write: Sets the value.
        initial: The value in a new process; None if that is unknown.
    """

    def __init__(self, name: str, read: Callable[[], Any], write: Callable[[Any], object], *, initial: Any = None) -> None:
        self.name = name
        self.read = read  # type: ignore[method-assign]  # the functions themselves, not methods that call them: this saves a call each time
        self.write = write  # type: ignore[assignment, method-assign]
        self.holds = lambda value: read() == value  # type: ignore[method-assign]
        self._initial = initial

    def initial(self) -> Any:
        """Return the value in a new process if it is known, else the value in force."""
        return self.read() if self._initial is None else self._initial


@dataclass(frozen=True, slots=True)
class Library:
    """The settings of one library.

    Attributes:
        settings: The settings of the process.
        capture: Returns the settings of the calling thread, by names that begin with the library's name.
        apply: Applies such settings to the calling thread; ignores names of other libraries.
        abandon: Restores state of the process that a trial has replaced, although the thread with this identifier still works for that
            trial and may never end.
        fresh_random_states: Returns a context manager in which the library's random states, and those of Python and numpy, are like those
            of a new process; it restores them at its end. None if the library has no random states.
        seed_again: Seeds the library's random states from the system, after code that was the first to import the library, and that may
            have seeded it.
    """

    settings: tuple[Setting, ...] = ()
    capture: Callable[[], dict[str, Plain]] = dict
    apply: Callable[[Mapping[str, Plain]], None] = field(default=lambda _: None)
    abandon: Callable[[int], None] = field(default=lambda _: None)
    fresh_random_states: Callable[[], AbstractContextManager[None]] | None = None
    seed_again: Callable[[], None] = field(default=lambda: None)


#: The modules that describe the settings of Python itself, and of libraries that belong to no framework.
_OWN = {"": "detjupyter.engine.python_settings", "matplotlib": "detjupyter.engine.matplotlib_settings"}


def libraries_in_use(wanted: Iterable[str] = ()) -> list[Library]:
    """Return Python's own settings, and those of every library that is imported or named in ``wanted``.

    Thread: any.
    """
    for name, module in _modules().items():
        if name not in _known and (not name or name in wanted or _is_imported(name)):
            _known[name] = importlib.import_module(module).LIBRARY
    return list(_known.values())


@functools.cache
def _modules() -> dict[str, str]:
    """Return the module that describes the settings of each library, including those that belong to frameworks."""
    return {**_OWN, **settings_modules()}


def _is_imported(name: str) -> bool:
    """Return whether a module is completely imported: another thread may be importing it, and that import may fail."""
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return spec is not None and not getattr(spec, "_initializing", False)


_known: dict[str, Library] = {}
