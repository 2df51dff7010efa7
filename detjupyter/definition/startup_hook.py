"""``startup-hook.sh``: a script that prepares the import of a definition. It runs only on request."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from detjupyter.errors import StartupHookError
from detjupyter.next_step import NextStep

NAME = "startup-hook.sh"

# The hook is sourced, as on a cluster, so that its exported variables are known, even if it calls `exit`. `env -0`, because values can
# contain newlines.
_SCRIPT = f"trap 'env -0 >\"$DETJUPYTER_HOOK_ENVIRONMENT\"' EXIT; source ./{NAME}"
_OF_THE_SHELL = frozenset({"_", "SHLVL", "PWD", "OLDPWD", "DETJUPYTER_HOOK_ENVIRONMENT"})
_SHOWN_LINES = 12
_END_WITHIN_S = 5.0
_LOOK_EVERY_S = 0.1

_run: set[Path] = set()


@dataclass(frozen=True, slots=True)
class HookResult:
    """The result of a hook.

    Attributes:
        output: Its output, with standard output and standard error interleaved.
        exported: The sorted names of the environment variables that it set or changed, which are now set in this process.
    """

    output: str
    exported: tuple[str, ...]


def find_hook(root: Path) -> Path | None:
    """Return the hook at the root of a definition; None if there is none."""
    path = root / NAME
    return path if path.is_file() else None


def was_run(hook: Path) -> bool:
    """Return whether this process has run the hook."""
    return hook.resolve() in _run


def run_hook(hook: Path, echo: Callable[[str], None] | None = None) -> HookResult:
    """Run the hook in bash, in its own directory, and set the variables that it exports in this process.

    Args:
        hook: The script.
        echo: Called with each line of output.

    Raises:
        StartupHookError: There is no bash, or the hook ended with an error; then no variable is set.
        KeyboardInterrupt: The user interrupted; the hook and the processes that it started are killed.
    """
    shell = shutil.which("bash")
    if shell is None:
        raise StartupHookError(f"{NAME} needs bash, which is not installed.", path=str(hook), hint="Run its commands by hand.")
    with tempfile.TemporaryDirectory(prefix="detjupyter-") as scratch:
        result = Path(scratch) / "environment"
        process = subprocess.Popen(
            [shell, "-c", _SCRIPT],
            cwd=hook.parent,
            env={**os.environ, "DETJUPYTER_HOOK_ENVIRONMENT": str(result)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # makes a process group, which _end() can kill as a whole
        )
        lines = _follow(process, echo)
        if process.returncode != 0:
            shown = "\n".join(f"      {line}" for line in lines[-_SHOWN_LINES:])
            raise StartupHookError(
                f"{NAME} ended with status {process.returncode}.",
                path=f"{hook}\n{shown}" if shown else str(hook),
                hint=f"Correct it, or load without {NextStep.STARTUP_HOOK}.",
            )
        _run.add(hook.resolve())
        return HookResult("\n".join(lines), _set_exported(result))


def _follow(process: subprocess.Popen[bytes], echo: Callable[[str], None] | None) -> list[str]:
    """Return the lines that the hook prints until it ends. The pipe may never be closed if the hook leaves a process running."""
    lines: list[str] = []
    unfinished = b""
    assert process.stdout is not None  # opened as a pipe
    pipe = process.stdout.fileno()
    try:
        with process.stdout:
            while True:
                has_ended = process.poll() is not None  # before the reading, so that the last lines are not missed
                readable, _, _ = select.select([pipe], [], [], 0 if has_ended else _LOOK_EVERY_S)
                piece = os.read(pipe, 1 << 16) if readable else b""
                *whole, unfinished = (unfinished + piece).split(b"\n")
                if has_ended and not piece:
                    whole += [unfinished] if unfinished else []
                for line in whole:
                    lines.append(line.decode("utf-8", "replace").rstrip("\r"))
                    if echo is not None:
                        echo(lines[-1])
                if has_ended and not piece:
                    return lines
                if readable and not piece:  # the hook closed its output and is still running
                    process.wait()
    except BaseException:
        _end(process)
        raise


def _end(process: subprocess.Popen[bytes]) -> None:
    """Terminate the shell and all processes that it started, then kill those that remain."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, number)
            process.wait(_END_WITHIN_S)


def _set_exported(file: Path) -> tuple[str, ...]:
    """Set the variables that the hook exported in this process."""
    variables = dict(entry.split(b"=", 1) for entry in file.read_bytes().split(b"\0") if b"=" in entry)
    exported = []
    for name, value in variables.items():
        text = os.fsdecode(name)
        if text not in _OF_THE_SHELL and os.environb.get(name) != value:
            os.environb[name] = value
            exported.append(text)
    return tuple(sorted(exported))
