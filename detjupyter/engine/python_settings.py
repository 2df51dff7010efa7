"""The process-wide and per-thread settings of Python itself and of numpy."""

from __future__ import annotations

import asyncio
import csv
import decimal
import gc
import locale
import logging
import os
import random
import socket
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from detjupyter.definition.isolation.working_directory import threads_may_have_their_own
from detjupyter.engine.libraries import Library, Plain, Setting, Value

_PRIVATE_UMASK = 0o077
_NUMPY_ERRORS = ("divide", "over", "under", "invalid")
_PLAIN_MODES = ("ignore", "warn", "raise", "print")  # the modes "call" and "log" need a Python object, which is not plain data


class _Entries(Setting):
    """A global list that code adds entries to. A value of the setting is a tuple of the entries."""

    is_shareable = True

    def entries(self) -> list[Any]:  # Any: the lists have various entries
        """Return the list in use."""
        raise NotImplementedError

    def read(self) -> tuple[Any, ...]:
        """Return a copy of the entries."""
        return tuple(self.entries())

    def write(self, value: tuple[Any, ...]) -> None:
        """Replace the entries in place, since other code refers to the same list."""
        self.entries()[:] = value

    def merged(self, before: tuple[Any, ...], after: tuple[Any, ...], onto: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return ``onto`` without the entries that were removed, and with those that were added, each at the end where it was added."""
        if onto == before:
            return after
        middle = [entry for entry in onto if entry in after or entry not in before]
        added = [entry not in before for entry in after]
        front = next((index for index, is_new in enumerate(added) if not is_new), len(added))
        first = [entry for entry in after[:front] if entry not in middle]
        last = [entry for entry, is_new in zip(after[front:], added[front:], strict=True) if is_new and entry not in middle]
        return (*first, *middle, *last)


class _SearchPath(_Entries):
    """``sys.path``."""

    name = "sys.path"

    def entries(self) -> list[Any]:
        """Return the list that imports search."""
        return sys.path


class _WarningFilters(_Entries):
    """The filters that ``warnings.filterwarnings`` and similar functions have set."""

    name = "warnings.filterwarnings"

    def __init__(self) -> None:
        self._seen: object = warnings.filters

    def entries(self) -> list[Any]:
        """Return the list of filters in use. Inside ``catch_warnings`` it is a copy."""
        return warnings.filters  # type: ignore[return-value]  # typed as a Sequence, but it is a list

    def write(self, value: tuple[Any, ...]) -> None:
        """Replace the filters, and clear Python's cache of warnings that it has handled."""
        super().write(value)
        self._seen = warnings.filters
        # As in catch_warnings. Without this, a module's cache keeps a warning ignored that the new filters would show.
        mutated = getattr(warnings, "_filters_mutated", None) or getattr(warnings, "_filters_mutated_lock_held", None)
        if mutated is not None:
            with getattr(warnings, "_lock", nullcontext()):  # of Python 3.14
                mutated()

    def holds(self, value: tuple[Any, ...]) -> bool:
        """Return whether these filters are in force, in this list or in a copy."""
        if self.read() != value:
            return False
        self._seen = warnings.filters
        return True

    def was_replaced(self) -> bool:
        """Return whether ``catch_warnings`` was entered or left since the last call: each replaces the list."""
        before, self._seen = self._seen, warnings.filters
        return before is not warnings.filters


def _multiprocessing_method() -> str | None:
    """Return the start method that was set, None if none was. Unlike ``get_start_method()``, this does not fix the default."""
    module = sys.modules.get("multiprocessing")
    method: str | None = module.get_start_method(allow_none=True) if module else None
    return method


def _set_multiprocessing_method(method: str | None) -> None:
    module = sys.modules.get("multiprocessing")
    if module is not None:
        module.set_start_method(method, force=True)


def _shown_warnings() -> tuple[Any, Any]:
    """Return the function that shows warnings, and the original that ``logging.captureWarnings`` has saved."""
    return warnings.showwarning, vars(logging).get("_warnings_showwarning")


def _show_warnings(value: tuple[Any, Any]) -> None:
    warnings.showwarning, logging._warnings_showwarning = value  # type: ignore[attr-defined]


def _loop_policy() -> Any:
    """Return the policy that was set. Unlike ``get_event_loop_policy``, which Python 3.14 deprecates, this does not create one."""
    return vars(asyncio.events).get("_event_loop_policy")


def _set_loop_policy(policy: Any) -> None:
    asyncio.events._event_loop_policy = policy  # type: ignore[attr-defined]


def read_umask() -> int:
    """Return the process's umask. It can be read only by setting it, so a file that another thread creates at that moment is private."""
    umask = os.umask(_PRIVATE_UMASK)
    os.umask(umask)
    return umask


def _settings() -> tuple[Setting, ...]:
    settings: list[Setting] = [
        _SearchPath(),
        _WarningFilters(),
        Value("logging.captureWarnings", _shown_warnings, _show_warnings),
        Value("logging.disable", lambda: logging.root.manager.disable, logging.disable),
        Value("gc.enable", gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
        Value("gc.set_threshold", gc.get_threshold, lambda sizes: gc.set_threshold(*sizes)),
        Value("sys.setrecursionlimit", sys.getrecursionlimit, sys.setrecursionlimit),
        Value("sys.excepthook", lambda: sys.excepthook, lambda hook: setattr(sys, "excepthook", hook)),
        Value("threading.excepthook", lambda: threading.excepthook, lambda hook: setattr(threading, "excepthook", hook)),
        Value("sys.unraisablehook", lambda: sys.unraisablehook, lambda hook: setattr(sys, "unraisablehook", hook)),
        Value("sys.set_int_max_str_digits", sys.get_int_max_str_digits, sys.set_int_max_str_digits),
        Value("sys.dont_write_bytecode", lambda: sys.dont_write_bytecode, lambda on: setattr(sys, "dont_write_bytecode", on)),
        Value("csv.field_size_limit", csv.field_size_limit, csv.field_size_limit),
        Value("asyncio.set_event_loop_policy", _loop_policy, _set_loop_policy),
        Value("socket.setdefaulttimeout", socket.getdefaulttimeout, socket.setdefaulttimeout),
        Value("locale.setlocale", lambda: locale.setlocale(locale.LC_ALL), lambda name: locale.setlocale(locale.LC_ALL, name)),
        Value("multiprocessing.set_start_method", _multiprocessing_method, _set_multiprocessing_method),
    ]
    if sys.platform != "linux" or not threads_may_have_their_own():  # else each engine thread has its own
        settings.append(Value("os.umask", read_umask, os.umask))
    return tuple(settings)


def _capture() -> dict[str, Plain]:
    errors: Mapping[str, Any] = np.geterr()
    context = decimal.getcontext()
    modes: dict[str, Plain] = {f"numpy.{kind}": errors[kind] for kind in _NUMPY_ERRORS if errors[kind] in _PLAIN_MODES}
    return {"decimal.prec": context.prec, "decimal.rounding": context.rounding, **modes}


def _apply(values: Mapping[str, Plain]) -> None:
    context: Any = decimal.getcontext()
    for name in ("prec", "rounding"):
        if values.get(f"decimal.{name}", getattr(context, name)) != getattr(context, name):
            setattr(context, name, values[f"decimal.{name}"])
    now: Mapping[str, Any] = np.geterr()
    modes: dict[str, Any] = {kind: values.get(f"numpy.{kind}", now[kind]) for kind in _NUMPY_ERRORS}
    if modes != now:
        np.seterr(**modes)


@contextmanager
def _fresh_random_states() -> Iterator[None]:
    """Seed Python's and numpy's generators from the system in the block, and restore their states at its end."""
    python, numpy = random.getstate(), np.random.get_state()
    random.seed()
    np.random.seed()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


LIBRARY = Library(_settings(), _capture, _apply, fresh_random_states=_fresh_random_states)
