"""The commands that a user, a script, a trial or a searcher sends to a session.

A command is data: a kind and arguments. It is answered exactly once, with a result or with an error, and the run records it afterwards.
``kind`` is the discriminator on the wire. A new command is a class here, with the rule that says when a session accepts it, and a handler
in :mod:`detjupyter.engine.command_handlers`; its TypeScript is generated. A view sends a command as a JSON object, with the arguments of
its class in :data:`VIEW_COMMANDS`: :func:`parse_command` checks their types, and ``require_valid`` of the class their values.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, get_args, get_type_hints

from detjupyter.errors import ProtocolError
from detjupyter.protocol.lengths import CheckpointPolicy, Length
from detjupyter.protocol.origins import Origin, default_origin
from detjupyter.protocol.situation import Situation, Verdict
from detjupyter.protocol.states import Activity, State

MAX_STEP_BATCHES = 1_000_000


@dataclass(frozen=True, slots=True)
class Command:
    """A command to a session: an object with arguments; the class attributes hold for all commands of the class.

    Attributes:
        kind: Its name on the wire.
        doing: What it does, a phrase to follow "Cannot"; only for commands that a busy session refuses.
        needs_run: Whether the run must have begun before the command runs.
    """

    kind: ClassVar[str]
    doing: ClassVar[str] = ""
    needs_run: ClassVar[bool] = False

    @classmethod
    def rule(cls, now: Situation) -> Verdict:  # noqa: ARG003
        """Return whether an open session allows, ignores or refuses such a command."""
        return Verdict.ALLOWED

    def require_valid(self) -> None:
        """Raise unless the values that a view has sent are allowed; their types are right.

        Raises:
            ProtocolError: One is out of range.
        """


@dataclass(frozen=True, slots=True)
class Train(Command):
    """Train in the background.

    Attributes:
        length: How long to train; None for the length of the configuration.
        in_total: Whether the length counts from the trial's first batch; if not, it is added to the batches already trained.
        validate_every: When to validate; None: after each epoch if the length is in epochs, else at the end only.
        checkpoint_every: When to save a checkpoint; None: at the end only.
        report_every: When a reporting period ends; None: at the other boundaries only.
        checkpoint_policy: Which validations are followed by a checkpoint.
        initial_validation: Whether to validate before the first batch, if the trial is untrained.
        keeps_checkpoints: Whether the user asked for the checkpoints, so that none of them is deleted later.
        stops_at_nan: Whether a training metric that is NaN or infinite ends the training with an error.
        ends_if_reached: Whether the training ends at once if a length in total is already reached; if not, that is an error.
        validates_each_epoch: Whether a length in epochs validates after each epoch by default.
        records_per_epoch: The number of records that the configuration counts as an epoch; 0: one pass over the data.
    """

    kind: ClassVar[str] = "train"
    doing: ClassVar[str] = "begin a training"
    needs_run: ClassVar[bool] = True
    length: Length | None = None
    in_total: bool = False
    validate_every: Length | None = None
    checkpoint_every: Length | None = None
    report_every: Length | None = None
    checkpoint_policy: CheckpointPolicy = "none"
    initial_validation: bool = False
    keeps_checkpoints: bool = False
    stops_at_nan: bool = False
    ends_if_reached: bool = False
    validates_each_epoch: bool = True
    records_per_epoch: int = 0

    @classmethod
    def rule(cls, now: Situation) -> Verdict:
        """Allowed if no training is running or paused: a session has one training at a time."""
        return Verdict.BUSY if now.is_busy else Verdict.ALLOWED


@dataclass(frozen=True, slots=True)
class Pause(Command):
    """Pause after the current batch."""

    kind: ClassVar[str] = "pause"

    @classmethod
    def rule(cls, now: Situation) -> Verdict:
        """Allowed while the session trains; idle if it is paused."""
        if not now.state.is_live:
            return Verdict.NOT_TRAINING
        return Verdict.ALLOWED if now.state is State.RUNNING else Verdict.IDLE


@dataclass(frozen=True, slots=True)
class Resume(Command):
    """Resume a paused training."""

    kind: ClassVar[str] = "resume"

    @classmethod
    def rule(cls, now: Situation) -> Verdict:
        """Allowed for a paused training, not for a step."""
        if now.state is State.RUNNING:
            return Verdict.IDLE
        return Verdict.ALLOWED if now.state is State.PAUSED and now.has_training else Verdict.NOTHING_TO_RESUME


@dataclass(frozen=True, slots=True)
class Step(Command):
    """Train ``batches`` more batches, then pause."""

    kind: ClassVar[str] = "step"
    needs_run: ClassVar[bool] = True
    batches: int = 1

    def require_valid(self) -> None:
        """Raise unless ``batches`` is 1 to a million."""
        if not 1 <= self.batches <= MAX_STEP_BATCHES:
            raise ProtocolError(f"A step must be 1 to {MAX_STEP_BATCHES:,} batches, not {self.batches!r}.")


@dataclass(frozen=True, slots=True)
class Stop(Command):
    """End the training after the current batch; weights and history are kept."""

    kind: ClassVar[str] = "stop"

    @classmethod
    def rule(cls, now: Situation) -> Verdict:
        """Allowed while the session trains or validates."""
        return Verdict.ALLOWED if now.state.is_live or now.activity is not Activity.IDLE else Verdict.IDLE


@dataclass(frozen=True, slots=True)
class Validate(Command):
    """Validate now, then continue."""

    kind: ClassVar[str] = "validate"
    needs_run: ClassVar[bool] = True

    @classmethod
    def rule(cls, now: Situation) -> Verdict:
        """Allowed; idle during a validation, whose result is then the answer."""
        return Verdict.IDLE if now.activity is Activity.VALIDATING else Verdict.ALLOWED


@dataclass(frozen=True, slots=True)
class MakeCheckpoint(Command):
    """Save a checkpoint now, then continue."""

    kind: ClassVar[str] = "checkpoint"
    needs_run: ClassVar[bool] = True

    @classmethod
    def rule(cls, now: Situation) -> Verdict:
        """Allowed; idle while a checkpoint is being saved, which is then the answer."""
        return Verdict.IDLE if now.activity is Activity.CHECKPOINTING else Verdict.ALLOWED


@dataclass(frozen=True, slots=True)
class Restore(Command):
    """Restore the trial from the checkpoint in the directory ``path``; ``trust`` allows any class to be unpickled."""

    kind: ClassVar[str] = "restore"
    doing: ClassVar[str] = "restore a checkpoint"
    path: str
    trust: bool = False

    @classmethod
    def rule(cls, now: Situation) -> Verdict:
        """Allowed while the session neither trains nor validates."""
        if now.is_busy:
            return Verdict.BUSY
        return Verdict.VALIDATING if now.activity is Activity.VALIDATING else Verdict.ALLOWED


@dataclass(frozen=True, slots=True)
class RestoreListed(Command):
    """Restore the checkpoint with the id ``checkpoint``, which the history lists for a run of this definition.

    This is how a view asks for :class:`Restore`: it names neither paths nor trust. The session finds the directory.
    """

    kind: ClassVar[str] = Restore.kind
    checkpoint: str

    @classmethod
    def rule(cls, now: Situation) -> Verdict:
        """Allowed when :class:`Restore` is."""
        return Restore.rule(now)


@dataclass(frozen=True, slots=True)
class Reload(Command):
    """Import the edited code and continue with the same weights; if that fails, nothing changes."""

    kind: ClassVar[str] = "reload"

    @classmethod
    def rule(cls, now: Situation) -> Verdict:
        """Allowed if the trial was loaded from files."""
        return Verdict.ALLOWED if now.can_reload else Verdict.NOT_LOADED_FROM_FILES


@dataclass(frozen=True, slots=True)
class AtBatch(Command):
    """Call a function of the trial between two batches.

    ``source`` is the text of the function, for the record and for engines in other processes. ``function`` is the function itself; it
    cannot be sent, so it is only available in the process of the engine.
    """

    kind: ClassVar[str] = "at_batch"
    source: str
    function: Callable[[Any], Any] | None = field(default=None, compare=False, metadata={"is_sent": False})


@dataclass(frozen=True, slots=True)
class ForceClose(Command):
    """Close a session whose batch does not end: the run is recorded as interrupted. The session handles it, not its engine."""

    kind: ClassVar[str] = "force_close"

    @classmethod
    def rule(cls, now: Situation) -> Verdict:
        """Allowed if the session is stuck."""
        return Verdict.ALLOWED if now.is_stuck else Verdict.IDLE


@dataclass(frozen=True, slots=True)
class UseRun:
    """From now on, save checkpoints in the directory ``checkpoints`` of the run ``run_id``; :class:`UseCode` follows."""

    kind: ClassVar[str] = "use_run"
    run_id: str
    checkpoints: str


@dataclass(frozen=True, slots=True)
class UseCode:
    """Add the code ``bundle_hash`` of the code store below ``home`` to checkpoints of the load ``load``; None: the code was not stored."""

    kind: ClassVar[str] = "use_code"
    home: str
    bundle_hash: str | None
    load: int = 0


@dataclass(frozen=True, slots=True)
class AwaitFiles:
    """Answer when no checkpoint is being written."""

    kind: ClassVar[str] = "await_files"


Internal = UseRun | UseCode | AwaitFiles
"""The calls that only the session itself sends; they are not recorded."""

COMMANDS: dict[str, type[Command]] = {
    command.kind: command for command in (Train, Pause, Resume, Step, Stop, Validate, MakeCheckpoint, Restore, Reload, AtBatch)
}
"""The commands of an engine, by kind. The run records them."""


@dataclass(frozen=True, slots=True)
class CommandMessage:
    """A command sent to an engine, with the ``id`` for its answer and its origin."""

    command: Command | Internal
    origin: Origin = field(default_factory=default_origin)
    id: str = field(default_factory=lambda: secrets.token_hex(6))


@dataclass(frozen=True, slots=True)
class Button:
    """How views show a command: its label, the label until it is answered, its tooltip, and its key in the live view."""

    kind: str
    label: str
    pending: str
    title: str
    key: str


BUTTONS: tuple[Button, ...] = (
    Button("resume", "Resume", "Resuming…", "Resume the training", " "),
    Button("pause", "Pause", "Pausing…", "Pause after the current batch", " "),
    Button("step", "Step", "Stepping…", "Train one more batch, then pause", "s"),
    Button("stop", "Stop", "Stopping…", "Stop the training; weights and history are kept", "x"),
    Button("validate", "Validate", "Validating…", "Validate now, then continue", "v"),
    Button("checkpoint", "Checkpoint", "Saving…", "Save a checkpoint now, then continue", "c"),
    Button("force_close", "Force Close", "Closing…", "Close the session without waiting for the current batch; the run so far is kept", ""),
    Button("reload", "Reload", "Reloading…", "Import the edited code and continue with the same weights", "r"),
    Button("restore", "Restore", "Restoring…", "Restore weights, optimizers and random states from this checkpoint", ""),
)
"""The commands that views offer, in the order in which they show them."""

VIEW_COMMANDS: dict[str, type[Command]] = {
    command.kind: command for command in (Resume, Pause, Step, Stop, Validate, MakeCheckpoint, ForceClose, Reload, RestoreListed)
}
"""The commands that a view may send, by kind. Each has a button."""

ARGUMENT_TYPES: dict[type, str] = {str: "text", int: "a whole number", bool: "true or false"}
"""The types that an argument of a view's command can have, and how an error calls them."""


def arguments_of(command: Command) -> dict[str, Any]:
    """Return the arguments of a command as they are recorded: without those that cannot be sent."""
    return {item.name: getattr(command, item.name) for item in fields(command) if item.metadata.get("is_sent", True)}


def require_command(command: Any) -> None:  # Any: any object that a caller sends
    """Raise unless ``command`` is a command of an engine.

    Raises:
        ProtocolError: It is not: it is text, a class, or :class:`ForceClose`, which the session handles.
    """
    if type(command) not in (*COMMANDS.values(), *get_args(Internal)):
        names = ", ".join(kind.__name__ for kind in COMMANDS.values())
        raise ProtocolError(f"Unknown command {command!r}.", hint=f"Send an object of one of these classes: {names}.")


def parse_command(message: Any) -> Command:  # Any: it comes from a browser
    """Return the command that ``message`` (a decoded JSON object with ``kind`` and the arguments) names.

    Raises:
        ProtocolError: The message is not an object, ``kind`` is unknown or not for views, or an argument is unknown, missing, of a wrong
            type or out of range.
    """
    if not isinstance(message, Mapping):
        raise ProtocolError(f"A command must be a JSON object, not {message!r}.")
    kind = message.get("kind")
    command = VIEW_COMMANDS.get(kind) if isinstance(kind, str) else None
    if command is None:
        raise ProtocolError(f"Unknown command {kind!r}.", hint=f"Commands: {', '.join(sorted(VIEW_COMMANDS))}.")
    arguments = {name: value for name, value in message.items() if name != "kind"}
    known = {item.name: item for item in fields(command)}
    hint = f"Arguments: {', '.join(known) or 'none'}."
    for name, value in arguments.items():
        if name not in known:
            raise ProtocolError(f"The command {kind!r} has no argument {name!r}.", hint=hint)
        type_ = get_type_hints(command)[name]
        if type(value) is not type_:  # not isinstance: True is not a number of batches
            raise ProtocolError(f"The argument {name!r} of the command {kind!r} must be {ARGUMENT_TYPES[type_]}, not {value!r:.80}.")
    missing = [name for name, item in known.items() if name not in arguments and item.default is MISSING]
    if missing:
        raise ProtocolError(f"The command {kind!r} needs the argument {missing[0]!r}.", hint=hint)
    parsed = command(**arguments)
    parsed.require_valid()
    return parsed
