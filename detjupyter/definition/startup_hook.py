"""``startup-hook.sh``: what a definition wants done before it is imported. Run only when somebody asks."""

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

NAME = "startup-hook.sh"

# The hook is sourced, as on a cluster, so that what it exports counts; an `exit` in it must not lose that either.
_SCRIPT = f"trap 'env -0 >\"$DETJUPYTER_HOOK_ENVIRONMENT\"' EXIT; source ./{NAME}"
_OF_THE_SHELL = frozenset({"_", "SHLVL", "PWD", "OLDPWD", "DETJUPYTER_HOOK_ENVIRONMENT"})
_SHOWN_LINES = 12
_END_WITHIN_S = 5.0
_LOOK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class HookResult:
    """What a hook did.

    Attributes:
        output: What it printed, standard output and errors as they came.
        exported: The environment variables that it set or changed, which are now set in this process; sorted.
    """

    output: str
    exported: tuple[str, ...]


def find_hook(root: Path) -> Path | None:
    """Return the hook at the root of a definition; None if there is none."""
    path = root / NAME
    return path if path.is_file() else None


def run_hook(hook: Path, tell: Callable[[str], None] | None = None) -> HookResult:
    """Run the hook in bash, in its own directory, and take over the variables that it exports.

    Args:
        hook: The script.
        tell: Called with each line as it comes.

    Raises:
        StartupHookError: There is no bash, or the hook ended with an error; no variable is taken over then.
        KeyboardInterrupt: A person interrupted; the hook and what it started are ended.
    """
    shell = shutil.which("bash")
    if shell is None:
        raise StartupHookError(f"{NAME} needs bash, and there is none here.", path=str(hook), hint="Do by hand what it does.")
    with tempfile.TemporaryDirectory(prefix="detjupyter-") as scratch:
        result = Path(scratch) / "environment"
        process = subprocess.Popen(
            [shell, "-c", _SCRIPT],
            cwd=hook.parent,
            env={**os.environ, "DETJUPYTER_HOOK_ENVIRONMENT": str(result)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        lines = _follow(process, tell)
        if process.returncode != 0:
            shown = "\n".join(f"      {line}" for line in lines[-_SHOWN_LINES:])
            raise StartupHookError(
                f"{NAME} ended with status {process.returncode}.",
                path=f"{hook}\n{shown}" if shown else str(hook),
                hint="Correct it, or load without `--startup-hook`.",
            )
        return HookResult("\n".join(lines), _take_over(result))


def _follow(process: subprocess.Popen[bytes], tell: Callable[[str], None] | None) -> list[str]:
    """Return the lines that the hook prints until it ends; what it leaves running behind may hold the pipe open for ever."""
    lines: list[str] = []
    unfinished = b""
    assert process.stdout is not None  # it was asked for
    pipe = process.stdout.fileno()
    try:
        with process.stdout:
            while True:
                has_ended = process.poll() is not None
                readable, _, _ = select.select([pipe], [], [], 0 if has_ended else _LOOK_EVERY_S)
                piece = os.read(pipe, 1 << 16) if readable else b""
                *whole, unfinished = (unfinished + piece).split(b"\n")
                if has_ended and not piece:
                    whole += [unfinished] if unfinished else []
                for line in whole:
                    lines.append(line.decode("utf-8", "replace").rstrip("\r"))
                    if tell is not None:
                        tell(lines[-1])
                if has_ended and not piece:
                    return lines
                if readable and not piece:  # it closed its output and goes on
                    process.wait()
    except BaseException:
        _end(process)
        raise


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the shell and all that it started: asked first, then killed, since a child may outlive a shell that obeyed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, number)
            process.wait(_END_WITHIN_S)


def _take_over(file: Path) -> tuple[str, ...]:
    """Set what the hook exported in this process."""
    variables = dict(entry.split(b"=", 1) for entry in file.read_bytes().split(b"\0") if b"=" in entry)
    exported = []
    for name, value in variables.items():
        text = os.fsdecode(name)
        if text not in _OF_THE_SHELL and os.environb.get(name) != value:
            os.environb[name] = value
            exported.append(text)
    return tuple(sorted(exported))
