"""Make relative paths of a definition start at its root, as on a cluster, without changing the kernel's working directory.

A definition opens ``vocab.txt`` and means the file next to its code, with any call (``open``, ``numpy.load``, a shell command). Only the
working directory affects all of them, and it usually belongs to the whole process. But on Linux a thread can have its own
(``unshare(2)`` with ``CLONE_FS``), and on macOS as well (``pthread_chdir_np``). So

* the engine's thread has its own for its whole life, and the workers that it starts inherit it;
* while a definition is imported and its trial is built in the caller's thread, that of the process is changed and restored: no cell runs
  then;
* if a thread cannot have its own (a container that forbids the call, Windows), the ``open`` of the definition resolves relative paths from
  the root, and other calls resolve them from the kernel's working directory.
"""

from __future__ import annotations

import builtins
import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_CLONE_FS = 0x200

_verdict: bool | None = None
_lock = threading.Lock()


def enter(root: Path) -> bool:
    """Give this thread its own working directory, ``root``; return whether the platform allows it.

    Thread: one that was started for a definition, never the main thread.
    """
    if not threads_may_have_their_own() or not _separate():
        return False
    try:
        _change(root)
    except OSError:  # the directory was deleted: the definition's next relative path raises its own error
        return False
    return True


@contextmanager
def at(root: Path) -> Iterator[None]:
    """Use ``root`` as the working directory in the block: of the thread if it can have its own, else of the process.

    Raises:
        OSError: The directory does not exist any more.
    """
    before = os.getcwd() if _exists() else None  # noqa: PTH109 -- as open() does
    if before == str(root):
        yield
        return
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main and threads_may_have_their_own():
        _separate()
    _change(root, whole_process=is_main)
    try:
        yield
    finally:
        if before is not None:
            with suppress(OSError):  # the code deleted the old directory: stay here
                _change(Path(before), whole_process=is_main)


def threads_may_have_their_own() -> bool:
    """Return whether threads of this process can have their own working directories. Tested once, in a short-lived thread."""
    global _verdict
    with _lock:
        if _verdict is None:
            answers: list[bool] = []
            thread = threading.Thread(target=lambda: answers.append(_separate()), name="detjupyter working directory", daemon=True)
            thread.start()
            thread.join()
            _verdict = bool(answers and answers[0])
        return _verdict


def open_from(root: Path) -> Callable[..., Any]:
    """Return an ``open`` whose relative paths start at ``root``, for platforms where threads share one working directory."""

    def open_at_root(file: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(file, (str, bytes, os.PathLike)):  # otherwise it is a file descriptor
            name = os.fspath(file)
            file = os.path.join(os.fsencode(root), name) if isinstance(name, bytes) else os.path.join(root, name)  # noqa: PTH118
        return builtins.open(file, *args, **kwargs)  # noqa: PTH123 -- this is `open`

    return open_at_root


def _separate() -> bool:
    """Separate the working directory of this thread from that of the process; return whether that worked."""
    try:
        if sys.platform == "linux":
            return int(ctypes.CDLL(None, use_errno=True).unshare(_CLONE_FS)) == 0
        if sys.platform == "darwin":  # pthread_chdir_np separates the thread
            return hasattr(ctypes.CDLL(None), "pthread_chdir_np")
    except (OSError, AttributeError):
        return False
    return False


def _change(directory: Path, *, whole_process: bool = False) -> None:
    if sys.platform == "darwin" and not whole_process:
        if ctypes.CDLL(None, use_errno=True).pthread_chdir_np(os.fsencode(directory)):
            raise OSError(ctypes.get_errno(), "There is no such directory", str(directory))
    else:
        os.chdir(directory)


def _exists() -> bool:
    try:
        os.getcwd()  # noqa: PTH109
    except OSError:
        return False
    return True
