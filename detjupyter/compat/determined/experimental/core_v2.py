"""``determined.experimental.core_v2``: the Core API with one context for the whole process, for notebooks and plain scripts."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from detjupyter.compat.determined import core
from detjupyter.errors import TrialUsageError
from detjupyter.session.kernel import kernel

_PARTS = ("checkpoint", "distributed", "info", "preempt", "searcher", "train")

_context: core.Context | None = None


@dataclass(frozen=True)
class DefaultConfig:
    """What a run is called and of what it is; the rest concerns a cluster and is kept with the run."""

    name: str | None = None
    hparams: Mapping[str, Any] | None = None
    data: Mapping[str, Any] | None = None
    description: str | None = None
    labels: list[str] | None = None
    log_policies: Any = None
    workspace: str | None = None
    project: str | None = None
    max_restarts: int | None = None
    checkpoint_storage: Any = None
    searcher: Mapping[str, Any] | None = None
    environment: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class UnmanagedConfig:
    """Where a cluster would list the run; kept with the run."""

    workspace: str | None = None
    project: str | None = None
    external_experiment_id: str | None = None
    external_trial_id: str | None = None


def init(*, defaults: DefaultConfig | None = None, unmanaged: UnmanagedConfig | None = None, **_: Any) -> None:
    """Begin the run that ``core_v2.train`` and the others are about; one that is open is closed before.

    :func:`close` ends it, or the end of the process.
    """
    close()
    _open(defaults, unmanaged)


@contextmanager
def init_context(*, defaults: DefaultConfig | None = None, unmanaged: UnmanagedConfig | None = None, **_: Any) -> Iterator[core.Context]:
    """Yield a new context, for a ``with`` statement."""
    with _make(defaults, unmanaged) as context:
        yield context


def close() -> None:
    """End the run; does nothing if none is open."""
    global _context
    if _context is not None:
        _context.close()
        _context = None


def _open(defaults: DefaultConfig | None, unmanaged: UnmanagedConfig | None) -> None:
    global _context
    _context = _make(defaults, unmanaged)
    _context.start()


def _make(defaults: DefaultConfig | None, unmanaged: UnmanagedConfig | None) -> core.Context:
    config: dict[str, Any] = {}
    for part in (defaults, unmanaged):
        if part is not None:
            config |= {name: value for name, value in asdict(part).items() if value is not None}
    hyperparameters = config.pop("hparams", {})
    return core.Context(str(config.get("name", "script")), hyperparameters, {**config, "hyperparameters": hyperparameters})


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        if _context is None:
            raise TrialUsageError("core_v2 was not started.", hint="Call `core_v2.init()` first.")
        return getattr(_context, name)
    raise AttributeError(f"detjupyter does not offer determined.experimental.core_v2.{name}")


def _end_with_the_process() -> None:
    """End the run as the process does: a script is through, or has failed; a kernel goes down in the middle of it."""
    global _context
    context, _context = _context, None
    if context is not None and kernel.id is not None:
        context.interrupt()
    elif context is not None:
        context.close(exc_val=getattr(sys, "last_value", None))


atexit.register(_end_with_the_process)
