"""The worker's main program: an engine that loads the definition named by the first frame, until the session or the kernel ends."""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
import sys
import threading
from pathlib import Path

from detjupyter.engine.host import EngineHost
from detjupyter.engine.local import open_engine
from detjupyter.protocol.calls import OpenEngine
from detjupyter.protocol.frames import unpack
from detjupyter.protocol.origins import Origin, set_default_origin
from detjupyter.protocol.states import State
from detjupyter.worker.pipe import FramePipe

CLOSE_LIMIT_S = 1.0
"""How long the current batch may still take when the kernel has ended."""
SEND_LIMIT_S = 5.0
"""How long the last frames may take."""
EXIT_LIMIT_S = 2.0
"""How long the end of the interpreter may take."""
_PARENT_POLL_S = 0.5


class Worker:
    """One engine, and the pipe to its session.

    Thread: frames arrive in the pipe's receiving thread; :meth:`run` waits in the main thread, in which Python handles signals.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._pipe = FramePipe(connected, self._receive, self._lose, name="detjupyter worker")
        self._host: EngineHost | None = None
        self._has_ended, self._is_lost = threading.Event(), threading.Event()

    def run(self) -> bool:
        """Return when the engine has ended: whether the kernel is there to see it."""
        parent = os.getppid()
        self._pipe.start()
        while not self._has_ended.wait(_PARENT_POLL_S):
            # A child that the kernel has forked keeps the pipe open, so its end is not enough.
            if self._is_lost.is_set() or os.getppid() != parent:
                if self._host is not None:
                    self._host.engine.close(State.INTERRUPTED, limit_s=CLOSE_LIMIT_S)
                return False
        self._pipe.finish(SEND_LIMIT_S)
        return True

    def _receive(self, frame: bytes) -> None:
        if self._host is not None:
            self._host.receive(frame)
            return
        first = unpack(frame)
        assert isinstance(first, OpenEngine)
        sys.path[:] = first.search_path
        self._host = EngineHost(
            lambda publish: open_engine(first.recipe, Path(first.root), publish, name=first.name),
            self._pipe.send,
            lambda function: threading.Thread(target=function, name="detjupyter call", daemon=True).start(),
        )
        self._host.engine.ended.add_done_callback(lambda _: self._has_ended.set())

    def _lose(self) -> None:
        self._is_lost.set()


def main(descriptor: int) -> None:
    """Run a worker on the socket with this file descriptor."""
    faulthandler.enable()
    set_default_origin(Origin.SCRIPT)
    # A keyboard interrupt is for the kernel. A handler instead of SIG_IGN, which programs that the trial starts would inherit.
    signal.signal(signal.SIGINT, lambda *_: None)
    os.set_inheritable(descriptor, False)
    if Worker(socket.socket(fileno=descriptor)).run():
        # The exit functions of libraries run. Threads of the trial must not keep the process alive.
        timer = threading.Timer(EXIT_LIMIT_S, os._exit, (0,))
        timer.daemon = True
        timer.start()
    else:
        os.killpg(0, signal.SIGKILL)  # with the workers of its loaders, which notice the end of their parent only seconds later
