"""Routes the output of a trial's child processes to its log. The descriptors 1 and 2 of this process stay unchanged, since cells use them.

* A program (``subprocess``, ``os.system``) that would inherit these descriptors gets a pipe to the log instead.
* A forked child (``multiprocessing``, a worker of a data loader) redirects its own descriptors as soon as it runs.
* A spawned child of ``multiprocessing`` redirects its own descriptors when it unpickles its process object.

On Windows this is not implemented: the log says once that the output of child processes is not captured.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from detjupyter.engine.output.owner import current_sink, here
from detjupyter.engine.output.patches import Target, replacement
from detjupyter.engine.output.pipes import NUMBERS, ChildSink, Pipes
from detjupyter.engine.output.sink import LogSink

CAN_CAPTURE = hasattr(os, "register_at_fork")
NOT_CAPTURED = "The output of child processes is not captured on this platform: it goes to the terminal."

_pipes: dict[LogSink, Pipes] = {}  # no lock: a finalizer can start a program, or end a capture, at any point, also in code that held it


def targets(is_routed: Callable[[object], bool]) -> list[Target]:
    """Return the functions to replace.

    Args:
        is_routed: Returns whether a stream is one of the standard streams of this process.
    """
    return [
        Target("subprocess", "Popen.__init__", functools.partial(_popen, is_routed=is_routed)),
        Target("os", "system", _system),
        Target("os", "write", _os_write),
        Target("os", "writev", _os_writev),
        Target("os", "posix_spawn", _posix_spawn),
        Target("os", "posix_spawnp", _posix_spawn),
        Target("multiprocessing.process", "BaseProcess.start", _start),
    ]


def close_pipes(sink: object) -> None:
    """Close the pipes to ``sink``, if there are any."""
    pipes = _pipes.pop(sink, None) if isinstance(sink, LogSink) else None
    if pipes is not None:
        pipes.close()


def _ends() -> dict[str, int] | None:
    """Return the descriptors for children of the calling thread, by stream; None if they inherit those of this process."""
    sink = here.sink
    if not isinstance(sink, LogSink):  # the thread is a cell's, or this is a child process whose descriptors are the trial's pipes
        return None
    if not CAN_CAPTURE:
        sink.say_once(NOT_CAPTURED)
        return None
    pipes = _pipes.get(sink)
    if pipes is None:
        made = Pipes(sink)
        pipes = _pipes.setdefault(sink, made)
        if pipes is not made:  # another thread was faster
            made.close()
    return pipes.ends


def _popen(original: Callable[..., None], *, is_routed: Callable[[object], bool]) -> Callable[..., Any]:
    @replacement(original)
    def init(
        self: Any,
        args: Any,
        bufsize: int = -1,
        executable: Any = None,
        stdin: Any = None,
        stdout: Any = None,
        stderr: Any = None,
        *others: Any,
        **kwargs: Any,
    ) -> None:
        ends = _ends() if any(stream is None or stream in (1, 2) or is_routed(stream) for stream in (stdout, stderr)) else None
        if ends is not None:
            stdout = _redirected(stdout, "stdout", ends, is_routed)
            stderr = _redirected(stderr, "stderr", ends, is_routed)
        original(self, args, bufsize, executable, stdin, stdout, stderr, *others, **kwargs)

    return init


def _redirected(given: Any, name: str, ends: dict[str, int], is_routed: Callable[[object], bool]) -> Any:
    if given is None:
        return ends[name]
    if given in (1, 2):
        return ends["stdout" if given == 1 else "stderr"]
    if not is_routed(given):
        return given
    return ends["stderr" if given in (sys.stderr, sys.__stderr__) else "stdout"]


def _system(original: Callable[[Any], int]) -> Callable[..., Any]:
    @replacement(original)
    def system(command: Any) -> int:
        if not CAN_CAPTURE or not isinstance(here.sink, LogSink):
            return original(command)
        code = subprocess.call(command, shell=True)  # through `Popen`, which gets the pipes
        return code << 8 if code >= 0 else -code  # a wait status, as `os.system` returns

    return system


def _os_write(original: Callable[[int, Any], int]) -> Callable[..., Any]:
    """Route a trial's calls of ``os.write`` to the descriptors 1 and 2. Writes by C code cannot be attributed to a thread."""

    @replacement(original)
    def write(fd: int, data: Any, /) -> int:
        sink = current_sink()
        if fd not in (1, 2) or not isinstance(sink, LogSink):
            return original(fd, data)
        content = bytes(data)
        sink.write("stdout" if fd == 1 else "stderr", content.decode("utf-8", "replace"))
        return len(content)

    return write


def _os_writev(original: Callable[[int, Any], int]) -> Callable[..., Any]:
    """Route ``os.writev`` as :func:`_os_write` does."""

    @replacement(original)
    def writev(fd: int, buffers: Any, /) -> int:
        if fd not in (1, 2) or not isinstance(current_sink(), LogSink):
            return original(fd, buffers)
        return os.write(fd, b"".join(map(bytes, buffers)))

    return writev


def _posix_spawn(original: Callable[..., int]) -> Callable[..., Any]:
    """Give a spawned program the ends of the pipes, before the caller's own file actions, which can replace them."""

    @replacement(original)
    def spawn(path: Any, argv: Any, env: Any, /, *, file_actions: Any = (), **options: Any) -> int:
        ends = _ends()
        if ends is not None:
            own = [(os.POSIX_SPAWN_DUP2, ends[stream], number) for stream, number in NUMBERS.items()]
            file_actions = (*own, *(file_actions or ()))
        return original(path, argv, env, file_actions=file_actions, **options)

    return spawn


class InheritedOutput:
    """Redirects the output of a spawned process when it is unpickled there."""

    def __init__(self, ends: dict[str, int]) -> None:
        self._ends = ends

    def __reduce__(self) -> Any:
        from multiprocessing.reduction import DupFd

        return _redirect_spawned, tuple(DupFd(self._ends[stream]) for stream in NUMBERS)


def _redirect_spawned(*ends: Any) -> None:
    for number, end in zip(NUMBERS.values(), ends, strict=True):
        descriptor = end.detach()
        os.dup2(descriptor, number)
        os.close(descriptor)
    # Python buffers whole blocks for a pipe; as in a terminal, each line is visible when it ends.
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def _start(original: Callable[..., None]) -> Callable[..., Any]:
    @replacement(original)
    def start(self: Any) -> None:
        ends = _ends()
        if ends is None:
            original(self)
            return
        state = vars(self)
        others = dict(state)
        state.clear()
        state["_detjupyter_output"] = InheritedOutput(ends)  # the first attribute is unpickled first, before user code can print
        state.update(others)
        try:
            original(self)
        finally:
            state.pop("_detjupyter_output", None)

    return start


class _AtFork(threading.local):
    outputs: tuple[object, ...] = ()  # the files of the standard streams' descriptors before the fork


_at_fork = _AtFork()


def _outputs() -> tuple[object, ...]:
    """Return the files, as (device, inode), that the descriptors of the standard streams refer to; None for a closed one."""
    found: list[object] = []
    for number in NUMBERS.values():
        try:
            status = os.fstat(number)
        except OSError:  # the descriptor is closed
            found.append(None)
        else:
            found.append((status.st_dev, status.st_ino))
    return tuple(found)


def _before_fork() -> None:
    if isinstance(here.sink, LogSink):
        _ends()  # now: the parent, which reads the pipes, must have them, too
        _at_fork.outputs = _outputs()


def _after_fork_in_child() -> None:
    """Send the output of a trial's forked child to the trial's pipes. A child that a cell has forked prints as usual.

    A child with its own terminal (``os.forkpty``) prints there.
    """
    sink = here.sink
    if isinstance(sink, LogSink):
        pipes = _pipes.get(sink)
        if pipes is None:
            here.sink = None
        else:
            if _at_fork.outputs == _outputs():
                for stream, number in NUMBERS.items():
                    os.dup2(pipes.ends[stream], number)
            here.sink = ChildSink()
    elif sink is not None:
        here.sink = ChildSink()  # a new one, without the unfinished text of the parent's, which the parent prints itself
    for pipes in _pipes.values():
        pipes.leave_to_parent()
    _pipes.clear()


if CAN_CAPTURE:
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
