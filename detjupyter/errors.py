"""Every exception that detjupyter raises on purpose.

```
DetJupyterError
├── DefinitionError                 a model definition cannot be used
│   ├── DefinitionNotFoundError     there is no directory or .py file at that path
│   ├── EntrypointError             the entrypoint is malformed, or names nothing that is there
│   ├── NotATrialError              the entrypoint names something that is not a Trial class
│   ├── DefinitionSyntaxError       a module of the definition does not compile
│   ├── DefinitionTooLargeError     it holds so many paths that one should ask before looking at all of them
│   └── StartupHookError            `startup-hook.sh` ended with an error
├── ConfigError                     the YAML does not parse, or a key has an impossible value
├── HyperparameterError             a hyperparameter is missing, or was given in a form we cannot read
├── TrialError                      the user's own code raised; carries the user's frames only
├── SessionError                    the session cannot do that in its present state
│   ├── NoSessionError              nothing is loaded yet
│   └── SessionBusyError            a training is already under way
├── DeviceError                     the device asked for is not there
├── CheckpointError                 a checkpoint is missing, torn, or of something else
│   └── UntrustedCheckpointError    reading it may run any code, and nobody has said that it may
├── UnsupportedError                a definition uses a part of Determined that is not offered here
├── StoreError                      the history cannot be read or written
│   ├── RunNotFoundError            no run has that id
│   └── CodeNotKeptError            a file of a run's code was kept by its name, size and hash only
├── ScanStopped                     somebody no longer waits for a scan
└── ProtocolError                   a message from a browser or a server makes no sense
```

A message says what failed, with the value; ``where`` says where; ``hint`` says what to do next. IPython shows the three and no
traceback: a person's mistake is not a bug of ours, and a traceback would also keep the failed frames (and their GPU memory) alive.
"""

from __future__ import annotations

from collections.abc import Sequence

_RED, _FAINT, _RESET = "\x1b[1;31m", "\x1b[2m", "\x1b[0m"


class DetJupyterError(Exception):
    """The root of the tree above.

    Args:
        message: What failed, with the value that made it fail.
        where: The file, line, cell or value it happened in.
        hint: What the reader can do next.
    """

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        lines = [self.message]
        if self.where:
            lines.append(f"  in {self.where}")
        if self.hint:
            lines.append(f"  → {self.hint}")
        return "\n".join(lines)

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython shows instead of a traceback (its protocol for exceptions that know better)."""
        first, *rest = str(self).splitlines()
        return [f"{_RED}{type(self).__name__}{_RESET}: {first}", *(f"{_FAINT}{line}{_RESET}" for line in rest)]


class DefinitionError(DetJupyterError):
    """A model definition cannot be used."""

    def __init__(self, message: str, *, path: str | None = None, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, where=where or path, hint=hint)
        self.path = path


class DefinitionNotFoundError(DefinitionError):
    """There is no directory or .py file at ``path``."""


class EntrypointError(DefinitionError):
    """``entrypoint`` is malformed, or names a module or an object that is not there."""

    def __init__(self, message: str, *, entrypoint: str | None, path: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, path=path, hint=hint)
        self.entrypoint = entrypoint


class NotATrialError(EntrypointError):
    """``entrypoint`` names something that is not a Trial class."""


class DefinitionSyntaxError(DefinitionError):
    """The module at ``path`` does not compile; ``line`` (from 1) and ``text`` show where."""

    def __init__(self, message: str, *, path: str, line: int | None, text: str | None, hint: str | None = None) -> None:
        where = f"{path}, line {line}" if line else path
        super().__init__(message, path=path, where=f"{where}\n      {text.strip()}" if text else where, hint=hint)
        self.line = line
        self.text = text


class DefinitionTooLargeError(DefinitionError):
    """The directory at ``path`` holds more than ``most_paths`` paths, so it is perhaps not a model definition at all."""

    def __init__(self, *, path: str, most_paths: int) -> None:
        super().__init__(
            f"There are more than {most_paths:,} paths in this directory.",
            path=path,
            hint="Say `--any-size` if it is meant; or leave data out with a `.detignore`, or name the definition's own directory.",
        )
        self.most_paths = most_paths


class StartupHookError(DefinitionError):
    """The `startup-hook.sh` at ``path`` cannot be run, or ended with an error; ``where`` shows the last lines that it printed."""


class ConfigError(DetJupyterError):
    """The YAML at ``path`` does not parse (``line`` and ``column`` from 1), or a key has an impossible value."""

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        line: int | None = None,
        column: int | None = None,
        hint: str | None = None,
    ) -> None:
        where = path
        if path and line:
            where = f"{path}, line {line}" + (f", column {column}" if column else "")
        super().__init__(message, where=where, hint=hint)
        self.path = path
        self.line = line
        self.column = column


class HyperparameterError(DetJupyterError, ValueError):
    """The hyperparameter ``name`` is missing or unreadable; ``available`` are the names that are there.

    Also a ``ValueError``, because model definitions written for Determined catch that.
    """

    def __init__(self, message: str, *, name: str, available: Sequence[str] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.name = name
        self.available = tuple(available)


class TrialError(DetJupyterError):
    """The user's own code raised.

    ``exception`` is the type and text of what it raised, ``user_traceback`` its frames inside the model definition as text (no frame
    objects are kept: they would hold the batch and the graph in GPU memory).
    """

    def __init__(self, message: str, *, exception: str, user_traceback: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.exception = exception
        self.user_traceback = user_traceback

    def __str__(self) -> str:
        lines = [self.message]
        if self.user_traceback:
            lines.append(self.user_traceback.rstrip("\n"))
        if self.exception:
            lines.append(self.exception)
        if self.hint:
            lines.append(f"  → {self.hint}")
        return "\n".join(lines)


class SessionError(DetJupyterError):
    """The session cannot do that while it is in ``state``."""

    def __init__(self, message: str, *, state: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.state = state


class NoSessionError(SessionError):
    """Nothing is loaded yet."""


class SessionBusyError(SessionError):
    """A training is already under way."""


class UnsupportedError(DetJupyterError):
    """A model definition uses a part of Determined that detjupyter does not offer."""


class DeviceError(DetJupyterError):
    """``device`` is not there."""

    def __init__(self, message: str, *, device: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.device = device


class CheckpointError(DetJupyterError):
    """The checkpoint at ``path`` is missing, torn, or of something else."""

    def __init__(self, message: str, *, path: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, where=path, hint=hint)
        self.path = path


class UntrustedCheckpointError(CheckpointError):
    """Reading the checkpoint at ``path`` may run any code, and nobody has said that it may."""


class StoreError(DetJupyterError):
    """The history at ``path`` cannot be read or written."""

    def __init__(self, message: str, *, path: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, where=path, hint=hint)
        self.path = path


class RunNotFoundError(StoreError, KeyError):
    """No run has the id ``run_id``."""

    def __init__(self, run_id: str) -> None:
        StoreError.__init__(self, f"No run has the id {run_id!r}.", hint="`%det_runs` lists the runs.")
        self.run_id = run_id

    __str__ = StoreError.__str__


class CodeNotKeptError(StoreError, KeyError):
    """``file`` is not in the snapshot, or only by its name, size and hash."""

    def __init__(self, message: str, *, file: str, hint: str | None = None) -> None:
        StoreError.__init__(self, message, hint=hint)
        self.file = file

    __str__ = StoreError.__str__


class ScanStopped(DetJupyterError):  # noqa: N818 -- somebody's wish, not a failure
    """What ``progress`` may raise to end a scan, as when the person who asked for it no longer waits."""

    def __init__(self, paths: int) -> None:
        super().__init__(
            f"The scan was stopped after {paths:,} {'path' if paths == 1 else 'paths'}.",
            hint="Scan again, or leave large directories out by `.detignore`.",
        )
        self.paths = paths


class ProtocolError(DetJupyterError):
    """A message from a browser or a server makes no sense."""
