"""Hand every event to the board, to the store and to the views, in this order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from detjupyter.protocol.events import Event, Logged
from detjupyter.training.board import Board
from detjupyter.training.gpu import GpuMonitor
from detjupyter.training.loop import REPORT_INTERVAL_S
from detjupyter.training.output import LogSink
from detjupyter.training.recorder import Recorder

Listener = Callable[[], None]


class Announcer:
    """Tell the world what a session does; views hear of it at most about ten times a second, and at every turn.

    Thread: :meth:`subscribe` in any thread, the rest where the session's events come from.
    """

    def __init__(self, board: Board, recorder: Recorder, sink: LogSink, gpu: GpuMonitor) -> None:
        self.sink = sink
        self._board = board
        self._recorder = recorder
        self._gpu = gpu
        self._subscribing = threading.Lock()
        self._listeners: tuple[Listener, ...] = ()  # never changed in place: it is walked through while others come and go
        self._next_notice = 0.0

    def subscribe(self, listener: Listener) -> Listener:
        """Have ``listener`` called at news; return the function that ends the subscription."""
        with self._subscribing:
            self._listeners = (*self._listeners, listener)
        return lambda: self._drop(listener)

    def tell(self, event: Event) -> None:
        """Pass ``event`` on, with the lines printed since the last one."""
        self._pass_on(event)
        self._pass_on_log(unfinished=False)
        self._recorder.flush_if_due()
        if time.monotonic() >= self._next_notice:
            self._notify()

    def turn(self, event: Event | None = None) -> None:
        """Bring the store and the views up to date now: the session took a turn, which ``event`` tells of."""
        if event is not None:
            self._pass_on(event)
        self._pass_on_log(unfinished=True)
        self._recorder.flush()
        self._pass_on_log(unfinished=False)  # a store that fails is spoken of, too
        self._notify()

    def beat(self) -> None:
        """Let the store know that a held session is still alive."""
        self._recorder.flush()

    def _pass_on(self, event: Event) -> None:
        self._board.apply(event)
        self._recorder.add(event)

    def _pass_on_log(self, *, unfinished: bool) -> None:
        lines = self.sink.take(unfinished=unfinished)
        if lines:
            self._pass_on(Logged(lines))

    def _notify(self) -> None:
        # On a grid, so that a report that comes a moment early does not wait for the next one, and never more than ten a second.
        self._next_notice = max(self._next_notice + REPORT_INTERVAL_S, time.monotonic())
        self._board.read_gpu(self._gpu.read())
        for listener in self._listeners:
            try:
                listener()
            except Exception as error:  # a view that breaks must not take the training with it
                self._drop(listener)
                self.sink.say(f"A view was closed: it failed with {type(error).__name__}: {error}")

    def _drop(self, listener: Listener) -> None:
        with self._subscribing:
            self._listeners = tuple(other for other in self._listeners if other is not listener)
