"""Where relative paths of a definition start: at its root, as on a cluster, while the kernel's own working directory stays.

A definition opens ``vocab.txt`` and means the file beside its code, whichever call it uses (``open``, ``numpy.load``, a shell command).
Only the working directory does that for all of them, and it belongs to the whole process, with these exceptions: on Linux a thread may
have one of its own (``unshare(2)`` with ``CLONE_FS``), and on macOS as well (``pthread_chdir_np``). So

* the thread that trains has its own, for its whole life; the workers that it starts inherit it;
* while a definition is imported and its trial is built, in the caller's thread, the process's is changed and put back: no cell runs then;
* where a thread cannot have its own (a container that forbids the call, Windows), the ``open`` that a definition sees starts relative
  paths at the root, and other calls start where the kernel is.
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
    """Give this thread a working directory of its own, ``root``; return whether the platform lets it.

    Thread: one that was started for a definition, never the main thread.
    """
    if not threads_may_have_their_own() or not _separate():
        return False
    try:
        _change(root)
    except OSError:  # deleted meanwhile: the next relative path says so in the definition's own words
        return False
    return True


@contextmanager
def at(root: Path) -> Iterator[None]:
    """Work in ``root`` inside the block: by a working directory of the thread's own where it has or may have one, else by the process's.

    Raises:
        OSError: there is no such directory any more.
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
            with suppress(OSError):  # the code deleted it; there is no better place to be
                _change(Path(before), whole_process=is_main)


def threads_may_have_their_own() -> bool:
    """Return whether threads of this process can have working directories of their own. Tried once, in a thread that ends at once."""
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
        if isinstance(file, (str, bytes, os.PathLike)):  # else a file descriptor
            name = os.fspath(file)
            file = os.path.join(os.fsencode(root), name) if isinstance(name, bytes) else os.path.join(root, name)  # noqa: PTH118
        return builtins.open(file, *args, **kwargs)  # noqa: PTH123 -- this is `open`

    return open_at_root


def _separate() -> bool:
    """Take this thread's working directory out of those that move together; return whether that worked."""
    try:
        if sys.platform == "linux":
            return int(ctypes.CDLL(None, use_errno=True).unshare(_CLONE_FS)) == 0
        if sys.platform == "darwin":  # nothing to separate: pthread_chdir_np does it
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
