"""What a person or a searcher asks of a session.

A command is answered exactly once: with a result, or with an error. ``kind`` is the discriminator on the wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Union

from detjupyter.errors import ProtocolError


@dataclass(frozen=True, slots=True)
class Pause:
    """Hold after the batch under way."""

    kind: ClassVar[str] = "pause"


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on with a paused training."""

    kind: ClassVar[str] = "resume"


@dataclass(frozen=True, slots=True)
class Step:
    """Train ``batches`` more batches, then pause."""

    kind: ClassVar[str] = "step"
    batches: int = 1


@dataclass(frozen=True, slots=True)
class Stop:
    """End the training after the batch under way; weights and history stay."""

    kind: ClassVar[str] = "stop"


@dataclass(frozen=True, slots=True)
class Validate:
    """Run the validation now, then do what was being done before."""

    kind: ClassVar[str] = "validate"


@dataclass(frozen=True, slots=True)
class MakeCheckpoint:
    """Write a checkpoint now, then do what was being done before."""

    kind: ClassVar[str] = "checkpoint"


@dataclass(frozen=True, slots=True)
class Reload:
    """Import the edited code and go on with the same weights; after a mistake in it everything stays as it was."""

    kind: ClassVar[str] = "reload"


Command = Union[Pause, Resume, Step, Stop, Validate, MakeCheckpoint, Reload]

COMMANDS: dict[str, type[Command]] = {command.kind: command for command in (Pause, Resume, Step, Stop, Validate, MakeCheckpoint, Reload)}
MAX_STEP_BATCHES = 1_000_000


def parse_command(message: Any) -> Command:  # Any: it comes from a browser
    """Return the command that ``message`` (a decoded JSON object with ``kind``) spells.

    Raises:
        ProtocolError: the message is no object, ``kind`` is unknown, or an argument is out of range.
    """
    if not isinstance(message, dict):
        raise ProtocolError(f"A command is a JSON object, not {message!r}.")
    kind = message.get("kind")
    command = COMMANDS.get(kind) if isinstance(kind, str) else None
    if command is None:
        raise ProtocolError(f"There is no command {kind!r}.", hint=f"Commands: {', '.join(COMMANDS)}.")
    if command is Step:
        batches = message.get("batches", 1)
        if type(batches) is not int or not 1 <= batches <= MAX_STEP_BATCHES:
            raise ProtocolError(f"A step is 1 to {MAX_STEP_BATCHES:,} batches, not {batches!r}.")
        return Step(batches)
    return command()
