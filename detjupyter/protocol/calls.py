"""Calls to an engine itself, not to its trial. They are answered even while a batch does not end, and no run records them."""

from __future__ import annotations

from dataclasses import dataclass

from detjupyter.protocol.states import State


@dataclass(frozen=True, slots=True)
class CloseEngine:
    """End the current work in ``state`` and release the trial; the answer says whether the engine has ended."""

    state: State
    limit_s: float | None = None


@dataclass(frozen=True, slots=True)
class CloseEngineSoon:
    """End the engine, and answer at once."""


@dataclass(frozen=True, slots=True)
class InterruptLoad:
    """Interrupt a load."""


@dataclass(frozen=True, slots=True)
class KillEngine:
    """Abandon a trial that does not respond."""


@dataclass(frozen=True, slots=True)
class ReadStack:
    """Return the current stack of the engine's thread, as text."""


EngineCall = CloseEngine | CloseEngineSoon | InterruptLoad | KillEngine | ReadStack
