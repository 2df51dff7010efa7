"""Calls to an engine itself, not to its trial. They are answered even while a batch does not end, and no run records them.

The other messages here accompany the commands, answers and events between a session and an engine at the other end of a connection.
"""

from __future__ import annotations

from dataclasses import dataclass

from detjupyter.protocol.recipe import LoadRecipe
from detjupyter.protocol.states import State

OPENED = "opened"
"""The id of the answer that contains the result of the load."""


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


@dataclass(frozen=True, slots=True)
class CallMessage:
    """A call, and the id of its answer."""

    id: str
    call: EngineCall


@dataclass(frozen=True, slots=True)
class CancelCommand:
    """The sender of the command ``id`` no longer wants it, if it has not begun."""

    id: str


@dataclass(frozen=True, slots=True)
class OpenEngine:
    """The first message to a worker: load the definition at ``root``.

    Attributes:
        recipe: The load recipe.
        root: The directory of the definition.
        name: The name of the session.
        search_path: The kernel's ``sys.path``.
    """

    recipe: LoadRecipe
    root: str
    name: str
    search_path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EngineEnded:
    """The last message of an engine."""
