"""Run a script that was written for a cluster in this process: as ``__main__``, with a config in place of the cluster's answers."""

from __future__ import annotations

import contextvars
import os
import shlex
import sys
import threading
import traceback
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from detjupyter.definition.config import read_config
from detjupyter.definition.isolation.imports import DefinitionScope
from detjupyter.definition.resolution import syntax_error
from detjupyter.definition.user_errors import trial_error
from detjupyter.errors import ArgumentError, DefinitionNotFoundError
from detjupyter.scripts.cluster_info import answering, cluster_info, latest_checkpoint_of_script
from detjupyter.scripts.process_state import restored_process_state
from detjupyter.scripts.reported_run import ReportedRun
from detjupyter.session.registry import Viewable, registry
from detjupyter.session.session import Session
from detjupyter.store.history import Run

LATEST = "latest"
"""In place of a checkpoint's id: the last checkpoint of earlier runs of the same command."""


def run_script(
    file: str | Path,
    arguments: Sequence[str] = (),
    config: Mapping[str, Any] | str | Path | None = None,
    hparams: Mapping[str, Any] | None = None,
    seed: int | None = None,
    checkpoint: str | None = None,
) -> list[Run]:
    """Run a script, and return the runs that it reported, oldest first.

    Its imports are separate from the kernel's, as those of a model definition, so that each call runs the present code of all its modules.
    Relative paths start at the script's directory. ``determined.get_cluster_info()`` answers with the config. What the script sets in the
    process (torch's defaults, warnings, signal handlers, random states, …) is restored at its end, except environment variables.

    Args:
        file: The script.
        arguments: Its command line.
        config: The experiment config; by default that of the directory, as for ``dj.load``.
        hparams: Hyperparameters that override those of the config.
        seed: Seeds the sampling of ranges, and is the script's ``trial_seed``.
        checkpoint: The id of the checkpoint to continue from, or ``latest``.

    Raises:
        DefinitionNotFoundError: There is no such file.
        ArgumentError: ``latest``, and no earlier run of this command has a checkpoint.
        ConfigError, HyperparameterError: The config cannot be read.
        DefinitionSyntaxError: The script does not compile.
        TrialError: The script raised an exception, or ended with an exit status other than 0.
        StoreError: The history cannot be read.
    """
    path = Path(file).expanduser().resolve()
    if not path.is_file():
        raise DefinitionNotFoundError("There is no such script.", path=str(file), hint="Paths start at the working directory.")
    command = shlex.join(["python3", path.name, *arguments])
    read = read_config(config, path.parent, hparams, seed or 0)
    raw = {"name": path.stem, **read.raw, "entrypoint": command}
    if seed is not None:
        raw["reproducibility"] = {**(raw.get("reproducibility") or {}), "experiment_seed": seed}
    if checkpoint == LATEST:
        checkpoint = latest_checkpoint_of_script(str(path.parent), command)
        if checkpoint is None:
            raise ArgumentError(
                f"No earlier run of `{command}` has a checkpoint.", hint="Leave the checkpoint out to start from the beginning."
            )
    scope = DefinitionScope(path.parent)
    raised: BaseException | None = None
    with _shown() as shown, answering(cluster_info(raw, read.hyperparameters, checkpoint)):
        try:
            contextvars.copy_context().run(_execute, scope, path, arguments)
        except BaseException as error:  # the user's code can raise anything
            raised = error
    _end_open_runs(shown, raised)
    if not any(isinstance(one, Session) for one in shown):  # a session can still import modules of the script
        scope.release()
    if raised is not None and not (isinstance(raised, SystemExit) and raised.code in (None, 0)):
        if isinstance(raised, SystemExit):
            raised.__context__ = None  # argparse exits while it handles exceptions of its own
        malformed = syntax_error(raised, path.parent) if isinstance(raised, SyntaxError) else None
        failed = malformed or trial_error(raised, [path.parent], f"running {path.name}")
        if isinstance(raised, SystemExit):
            failed.hint = (
                "The script ended itself with this status. What it printed may say why: for example, that its arguments are wrong."
            )
        raise failed
    return _runs_of(shown)


class _Main(ModuleType):
    """The module ``__main__`` while a script runs. Threads that were there before it, such as those of trainings, see the kernel's.

    They pickle classes of cells by the name ``__main__``, and the processes that they spawn run the file of ``__main__``.
    """

    def __init__(self, kernels: ModuleType) -> None:
        super().__init__("__main__")
        others = set(threading.enumerate()) - {threading.current_thread()}
        vars(self)["_kernels"], vars(self)["_others"] = kernels, weakref.WeakSet(others)

    def __getattribute__(self, name: str) -> Any:
        own = object.__getattribute__(self, "__dict__")
        if name != "__dict__" and threading.current_thread() in own["_others"]:
            return getattr(own["_kernels"], name)
        return super().__getattribute__(name)


def _execute(scope: DefinitionScope, path: Path, arguments: Sequence[str]) -> None:
    main = _Main(sys.modules["__main__"])
    vars(main).update(__file__=str(path), __builtins__=scope.builtins)
    process = os.getpid()
    with restored_process_state(path.name), scope.active():
        before = sys.argv, sys.modules["__main__"]  # here: the block can wait for the end of another script
        # classes of the script are pickled by this name, and spawned processes run this file
        sys.argv, sys.modules["__main__"] = [str(path), *arguments], main
        try:
            exec(compile(scope.read_source(path), str(path), "exec"), vars(main))
            if os.getpid() != process:
                _end_child(None)
        except BaseException as error:
            if os.getpid() != process:
                _end_child(error)
            raise
        finally:
            sys.argv, sys.modules["__main__"] = before


def _end_child(raised: BaseException | None) -> NoReturn:
    """End a process that the script forked, where its code ends. It must not return to the cell: it would be a second kernel."""
    code = raised.code if isinstance(raised, SystemExit) else int(raised is not None)
    with suppress(BaseException):
        if raised is not None and not isinstance(raised, SystemExit):
            traceback.print_exception(raised)
        elif not isinstance(code, (int, type(None))):
            sys.stderr.write(f"{code}\n")
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    os._exit(code & 0xFF if isinstance(code, int) else int(code is not None))


@contextmanager
def _shown() -> Iterator[list[Viewable]]:
    """Collect what is shown in the block."""
    shown: list[Viewable] = []
    show = registry.show

    def collect(trained: Viewable) -> None:
        shown.append(trained)
        show(trained)

    registry.show = collect
    try:
        yield shown
    finally:
        registry.show = show


def _end_open_runs(shown: Sequence[Viewable], raised: BaseException | None) -> None:
    """End the runs that the script left open: ``core_v2`` leaves that to the end of the process."""
    for one in shown:
        if isinstance(one, ReportedRun) and not one.has_ended:
            one.end_after(raised)


def _runs_of(shown: Sequence[Viewable]) -> list[Run]:
    """Return the runs of what was shown, also if the history is slow and lacks them still."""
    runs = (one.run for one in shown if isinstance(one, (ReportedRun, Session)))
    return list({run.id: run for run in runs if run is not None}.values())
