"""The errors that detjupyter raises on purpose.

```
DetJupyterError
├── DefinitionError                 a model definition cannot be used
│   ├── DefinitionNotFoundError     there is no directory or .py file at that path
│   ├── EntrypointError             the entrypoint is malformed, or names a module or an object that does not exist
│   │   └── NotATrialError          the entrypoint names something that is not a Trial class
│   ├── DefinitionSyntaxError       a module of the definition does not compile
│   ├── DefinitionTooLargeError     the directory holds so many paths that it is perhaps not a model definition
│   └── StartupHookError            `startup-hook.sh` cannot be run, or ended with an error
├── ConfigError                     the YAML does not parse, or a key has an impossible value
├── HyperparameterError             a hyperparameter is missing or invalid (also a ValueError)
├── ArgumentError                   an argument of a call is missing or invalid (also a ValueError)
│   ├── LengthError                 a length or a period is missing, not positive, or cannot be counted in batches
│   └── DeviceError                 the requested device is not available
├── TrialError                      the user's own code failed; carries the user's frames as text
│   └── TrialUsageError             the user's trial or script uses the API in a way that cannot work
│       └── ReducerError            a custom reducer breaks its rules (also an AssertionError)
├── SessionError                    the session cannot do that in its present state
│   ├── NoSessionError              nothing is loaded, or no session has that name
│   └── SessionBusyError            a training or a validation is in progress
├── CheckpointError                 a checkpoint is missing, incomplete, or does not fit the trial
│   ├── StateMismatchError          its state does not fit the trial (also a RuntimeError)
│   └── UntrustedCheckpointError    reading it could execute arbitrary code, and it has not been trusted
├── UnsupportedError                a model definition uses a part of Determined that detjupyter does not offer (also an ImportError)
│   └── NoLauncherError             no launcher of several processes started this one (also a KeyError)
├── StoreError                      the history cannot be read or written
│   ├── RunNotFoundError            no run has that id (also a KeyError)
│   │   └── NoRunsError             the latest or the best run was asked for, and there is none
│   ├── UnreadableRunError          the record of a run is invalid
│   ├── StoreBusyError              another process holds the lock of the history
│   ├── CodeNotKeptError            the code archive of a run does not contain that file (also a KeyError)
│   └── ExportError                 a run cannot be written there
├── MissingPackageError             an optional package is not installed (also an ImportError)
├── ScanStopped                     the caller stopped a scan
└── ProtocolError                   a message from another process or a browser cannot be read, or an object cannot be sent
```

Every subclass of ``DetJupyterError`` is in this module. Elsewhere are `InvalidHP` and the classes in `detjupyter.compat`, which model
definitions raise or catch by their Determined names; the HTTP answer `RefusedError` of the server; and exceptions that are caught in the
room that raises them. A value of a wrong type in a Python call is a plain ``TypeError``.

A message says what failed, with the value; ``where`` says where; ``hint`` says what to do next, in the words of
:mod:`detjupyter.next_step`. Very long words and lines of them are shortened, because they can contain any value of a user; the other
fields are whole. IPython shows the three and no traceback: an error of the user's is not a bug of detjupyter, and a traceback would keep
the failed frames (and their GPU memory) alive.
"""

from __future__ import annotations

from collections.abc import Sequence

from detjupyter.next_step import NextStep, worded

_RED, _FAINT, _RESET = "\x1b[1;31m", "\x1b[2m", "\x1b[0m"
_HINT = "  → "


class DetJupyterError(Exception):
    """The root of the tree above.

    Args:
        message: What failed, with the value that caused it.
        where: The file, line, cell or value in which it failed.
        hint: What the reader can do next; calls in it are written with :class:`~detjupyter.next_step.NextStep`.
    """

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        message = _bounded(message)
        super().__init__(message)
        self.message = message
        self.where = where and _bounded(where)
        self.hint = hint and _bounded(hint)

    def __str__(self) -> str:
        lines = [self.message]
        if self.where:
            lines.append(f"  in {self.where}")
        return _printable([*lines, *self._hint_lines()])

    def _hint_lines(self) -> list[str]:
        return [f"{_HINT}{worded(self.hint)}"] if self.hint else []

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython shows instead of a traceback."""
        return _rendered(type(self).__name__, str(self))


def split_hint(text: str) -> tuple[str, str | None]:
    """Split what ``str()`` of an error has returned, perhaps in another process, into the message and the hint; None if it has no hint."""
    message, _, hint = text.partition(f"\n{_HINT}")
    return message, hint or None


def _rendered(name: str, text: str) -> list[str]:
    first, *rest = text.splitlines()
    return [f"{_RED}{name}{_RESET}: {first}", *(f"{_FAINT}{line}{_RESET}" for line in rest)]


def _bounded(text: str) -> str:
    from detjupyter.text import bounded  # imported here because most kernels show no error

    return bounded(text)


def _printable(lines: Sequence[str]) -> str:
    from detjupyter.text import printable  # for the same reason

    return printable("\n".join(lines))


class DefinitionError(DetJupyterError):
    """A model definition cannot be used."""

    def __init__(self, message: str, *, path: str | None = None, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, where=where or path, hint=hint)
        self.path = path


class DefinitionNotFoundError(DefinitionError):
    """There is no directory or .py file at ``path``."""


class EntrypointError(DefinitionError):
    """``entrypoint`` is malformed, or names a module or an object that does not exist."""

    def __init__(self, message: str, *, entrypoint: str | None, path: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, path=path, hint=hint)
        self.entrypoint = entrypoint


class NotATrialError(EntrypointError):
    """``entrypoint`` names something that is not a Trial class."""


class DefinitionSyntaxError(DefinitionError):
    """The module at ``path`` does not compile in ``line`` (from 1), which reads ``text``."""

    def __init__(self, message: str, *, path: str, line: int | None, text: str | None, hint: str | None = None) -> None:
        where = f"{path}, line {line}" if line else path
        super().__init__(message, path=path, where=f"{where}\n      {text.strip()}" if text else where, hint=hint)
        self.line = line
        self.text = text


class DefinitionTooLargeError(DefinitionError):
    """The directory at ``path`` holds more than ``most_paths`` paths, so it is perhaps not a model definition."""

    def __init__(self, *, path: str, most_paths: int) -> None:
        super().__init__(
            f"This directory holds more than {most_paths:,} paths.",
            path=path,
            hint=f"Exclude data with a `.detignore`, name the definition's own directory, or accept any size with {NextStep.ANY_SIZE}.",
        )
        self.most_paths = most_paths


class StartupHookError(DefinitionError):
    """The `startup-hook.sh` at ``path`` cannot be run, or ended with an error; ``where`` shows the last lines of its output."""


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
    """The hyperparameter ``name`` is missing or invalid; ``available`` are the names that exist.

    Also a ``ValueError``, because model definitions written for Determined catch that.
    """

    def __init__(self, message: str, *, name: str, available: Sequence[str] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.name = name
        self.available = tuple(available)


class ArgumentError(DetJupyterError, ValueError):
    """An argument of a call is missing or has an invalid value."""


class LengthError(ArgumentError):
    """A length or a period is missing, not positive, or cannot be counted in batches."""


class DeviceError(ArgumentError):
    """``device`` is not available."""

    def __init__(self, message: str, *, device: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.device = device


class TrialError(DetJupyterError):
    """The user's own code failed.

    Args:
        message: What failed, and during what.
        exception: The type and text of what the code raised; empty if it raised nothing.
        user_traceback: The frames inside the model definition as text, and the innermost one if a library raised the exception; empty if
            there are none. Frame objects are not kept: they would hold the batch and the graph in GPU memory.
        hint: What the reader can do next.

    Attributes:
        is_shown_above: Whether the output of the cell already shows the frames; IPython then shows the rest only.
    """

    is_shown_above = False

    def __init__(self, message: str, *, exception: str = "", user_traceback: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.exception = exception
        self.user_traceback = user_traceback

    def _render_traceback_(self) -> list[str]:
        if not self.is_shown_above:
            return super()._render_traceback_()
        lines = [self.message, *([self.exception] if self.exception else []), "  The output above shows where."]
        return _rendered(type(self).__name__, _printable(lines))

    def __str__(self) -> str:
        lines = [self.message]
        if self.user_traceback:
            lines.append(self.user_traceback.rstrip("\n"))
        if self.exception:
            lines.append(self.exception)
        return _printable([*lines, *self._hint_lines()])


class TrialUsageError(TrialError):
    """The user's trial or script uses the API in a way that cannot work, without having raised an exception itself.

    Args:
        message: What is wrong, or the rule that the trial breaks.
        found: What the trial did instead.
        hint: What to do.
    """

    def __init__(self, message: str, found: str = "", hint: str | None = None) -> None:
        super().__init__(message, exception=_bounded(found), hint=hint)
        self.found = found


class ReducerError(TrialUsageError, AssertionError):
    """A custom reducer breaks its rules; also an ``AssertionError``, as in Determined."""


class SessionError(DetJupyterError):
    """The session cannot do that while it is in ``state``."""

    def __init__(self, message: str, *, state: str | None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.state = state


class NoSessionError(SessionError):
    """Nothing is loaded, or no session has that name; ``state`` is None."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, state=None, hint=hint)


class SessionBusyError(SessionError):
    """A training or a validation is in progress."""


class UnsupportedError(DetJupyterError, ImportError):
    """A model definition uses a part of Determined that detjupyter does not offer.

    Definitions that can do without it catch the ImportError that they get where that part is not installed.
    """


class NoLauncherError(UnsupportedError, KeyError):
    """No launcher of several processes started this one. Scripts catch the KeyError of the variable that a launcher would have set."""


class CheckpointError(DetJupyterError):
    """The checkpoint at ``path`` is missing, incomplete, or does not fit the trial."""

    def __init__(self, message: str, *, path: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, where=path, hint=hint)
        self.path = path


class StateMismatchError(CheckpointError, RuntimeError):
    """The state in the checkpoint at ``path``, or that of the trial before a reload, does not fit the trial.

    Also a ``RuntimeError``, because that is what ``load_state_dict`` of torch raises, and what scripts catch.
    """


class UntrustedCheckpointError(CheckpointError):
    """Reading the checkpoint at ``path`` could execute arbitrary code, and it has not been trusted."""


class StoreError(DetJupyterError):
    """The history at ``path`` cannot be read or written."""

    def __init__(self, message: str, *, path: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, where=path, hint=hint)
        self.path = path


class StoreBusyError(StoreError):
    """Another process holds the lock of the history at ``path``; trying again may succeed."""


class RunNotFoundError(StoreError, KeyError):
    """No run has the id ``run_id``."""

    def __init__(self, run_id: str) -> None:
        StoreError.__init__(self, f"No run has the id {run_id!r}.", hint=f"{NextStep.RUNS} lists the runs.")
        self.run_id = run_id

    __str__ = StoreError.__str__


class NoRunsError(RunNotFoundError):
    """``latest`` or ``best`` was asked for, and the history at ``path`` has no run that is not archived."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name)
        StoreError.__init__(
            self,
            f"There is no {name} run: the history has none, or all of them are archived.",
            path=path,
            hint=f"{NextStep.TRAIN} records one.",
        )


class UnreadableRunError(StoreError):
    """The record of a run is invalid, perhaps because a newer version wrote it. Lists of runs leave it out, and log a warning once."""


class CodeNotKeptError(StoreError, KeyError):
    """The code archive does not contain ``file``, or only its name, size and hash."""

    def __init__(self, message: str, *, file: str, hint: str | None = None) -> None:
        StoreError.__init__(self, message, hint=hint)
        self.file = file

    __str__ = StoreError.__str__


class ExportError(StoreError):
    """A run cannot be written to the file or directory in the message; what was there is unchanged."""


class MissingPackageError(DetJupyterError, ImportError):
    """``what``, a plural such as ``Parquet files``, need the optional package ``package``, which is not installed."""

    def __init__(self, what: str, package: str) -> None:
        super().__init__(
            f"{what} need the package {package}, which is not installed.", hint=f"{NextStep.INSTALL(package)}, then try again."
        )
        self.what = what
        self.package = package


class ScanStopped(DetJupyterError):  # noqa: N818 -- a request, not a failure
    """The caller stopped a scan by raising this from ``progress``, for example because its user no longer waits."""

    def __init__(self, paths: int) -> None:
        super().__init__(
            f"The scan was stopped after {paths:,} {'path' if paths == 1 else 'paths'}.",
            hint="Scan again, or exclude large directories with a `.detignore`.",
        )
        self.paths = paths


class ProtocolError(DetJupyterError):
    """A message from another process or a browser cannot be read, or an object cannot be sent."""
