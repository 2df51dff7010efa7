"""Opens an engine in a worker process."""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path

from detjupyter.engine.engine import Publish
from detjupyter.engine.remote import Connection, Lost, Receive, RemoteEngine
from detjupyter.errors import ProtocolError, SessionError
from detjupyter.next_step import NextStep
from detjupyter.protocol.calls import OpenEngine
from detjupyter.protocol.frames import pack
from detjupyter.protocol.recipe import LoadRecipe
from detjupyter.worker.pipe import FramePipe
from detjupyter.worker.process import WorkerProcess

_DRAIN_LIMIT_S = 2.0
_EXIT_LIMIT_S = 10.0
_log = logging.getLogger(__name__)


class WorkerConnection(Connection):
    """A connection to a worker, which it starts.

    Args:
        first: The first message.
        receive: Takes the frames of the worker.
        lost: Takes the error when the worker has ended.
    """

    def __init__(self, first: OpenEngine, receive: Receive, lost: Lost) -> None:
        super().__init__()
        name = f"detjupyter {first.name} worker"
        self._receive = receive
        self._lost = lost
        self._is_drained = threading.Event()
        frame = pack(first)  # before a process is started: it can be refused
        self._process = WorkerProcess(self._end, name=name)
        self._pipe = FramePipe(self._process.connected, self._arrive, self._is_drained.set, name=name)
        self._pipe.start()
        self.send(frame)

    def send(self, frame: bytes) -> None:
        """Send a frame."""
        self.bytes_sent += len(frame)
        self._pipe.send(frame)

    def kill(self) -> None:
        """Kill the worker and its children."""
        self._process.kill()

    def kill_soon(self) -> None:
        """Kill the worker if it does not exit on its own."""
        timer = threading.Timer(_EXIT_LIMIT_S, self._process.kill)
        timer.daemon = True
        timer.start()

    def _arrive(self, frame: bytes) -> None:
        self.bytes_received += len(frame)
        try:
            self._receive(frame)
        except ProtocolError:  # what follows cannot be understood either
            _log.exception("The worker of a session sent a frame that cannot be read.")
            self._process.kill()

    def _end(self, how: str) -> None:
        self._is_drained.wait(_DRAIN_LIMIT_S)  # what it sent before its end arrives first
        self._pipe.close()
        words = "".join(f"\n  {line}" for line in self._process.last_words())
        self._lost(
            SessionError(
                f"The worker process of the session has ended: {how}.{words}",
                state="closed",
                hint=f"Load the definition again; {NextStep.LOAD_RUN('latest')} continues from the last checkpoint.",
            )
        )


def open_isolated(recipe: LoadRecipe, root: Path, publish: Publish, *, name: str) -> RemoteEngine:
    """Open an engine in a new process that loads ``recipe``, and return at once.

    Args:
        recipe: The load recipe.
        root: The directory of the definition.
        publish: Takes the events.
        name: The name of the session.
    """
    first = OpenEngine(recipe, str(root), name, tuple(map(str, sys.path)))
    return RemoteEngine(lambda receive, lost: WorkerConnection(first, receive, lost), publish)
