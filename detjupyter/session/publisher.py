"""Pass every event to the live state, to the recorder and to the views, in this order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from detjupyter.engine.loop import REPORT_INTERVAL_S
from detjupyter.engine.output import uncaptured
from detjupyter.protocol.events import (
    Beat,
    Checkpointed,
    Closed,
    CommandAnswered,
    Event,
    Failed,
    Loaded,
    Logged,
    Moved,
    SlowedChanged,
    StateChanged,
    Stuck,
    Until,
    Warned,
)
from detjupyter.protocol.records import LogLine
from detjupyter.protocol.states import State
from detjupyter.session.live_state import LiveState
from detjupyter.session.recorder import Recorder

Listener = Callable[[], None]
_TURNING_POINTS = (StateChanged, CommandAnswered, Checkpointed, Failed, Loaded, Moved)
"""Events after which the store and the views are updated at once."""
_NEWS = (*_TURNING_POINTS, SlowedChanged, Beat, Closed, Warned)


class EventPublisher:
    """Fold, record and publish events; views are notified at most about ten times a second, and at every turning point.

    Args:
        live: The live state.
        recorder: The recorder of the run.
        react: Called with every event, for the other reactions of the session; must be quick.

    Thread: :meth:`receive` in the thread of the engine's events, the rest any.
    """

    def __init__(self, live: LiveState, recorder: Recorder, react: Callable[[Event], None] = lambda _: None) -> None:
        self._live = live
        self._recorder = recorder
        self._react = react
        self._listeners: list[Listener] = []  # without a lock: a finalizer may end a subscription anywhere
        self._next_notice = 0.0
        self._is_detached = False
        self._publishing = threading.Condition()
        self._published = State.READY
        self._received_at = time.monotonic()
        self._line_listeners: list[Callable[[LogLine], object]] = []

    def quiet_s(self) -> float:
        """Return the seconds since the last event of the engine; events of the session itself do not count."""
        return time.monotonic() - self._received_at

    def listen_to_lines(self, listener: Callable[[LogLine], object]) -> Listener:
        """Call ``listener`` with each line of the log; return a function that ends the subscription."""
        self._line_listeners.append(listener)
        return lambda: self._line_listeners.remove(listener)

    def subscribe(self, listener: Listener) -> Listener:
        """Call ``listener`` on every update; return a function that ends the subscription."""
        self._listeners.append(listener)
        return lambda: self._drop(listener)

    def receive(self, event: Event) -> None:
        """Publish an event of the engine."""
        self._received_at = time.monotonic()
        self.publish(event)

    def publish(self, event: Event) -> None:
        """Publish ``event``."""
        if self._is_detached:
            return
        self._live.apply(event)
        # Before the reactions: one of them submits the deletion of old checkpoints, which must follow the event of the new one.
        self._recorder.add(event)
        self._react(event)
        if isinstance(event, Logged):
            for listener in list(self._line_listeners):
                for line in event.lines:
                    listener(line)
        if isinstance(event, _TURNING_POINTS):
            self._recorder.flush_soon()
        elif isinstance(event, Beat):
            self._recorder.beat()
        if isinstance(event, _NEWS) or time.monotonic() >= self._next_notice:
            self.notify()
        if isinstance(event, StateChanged):  # last: a caller that waited for the state finds the views updated
            with self._publishing:
                self._published = event.state
                self._publishing.notify_all()

    @property
    def state(self) -> State:
        """The newest state that was published everywhere."""
        return self._published

    def wait_while(self, state: State, timeout_s: float) -> State:
        """Wait while ``state`` is the newest published state, at most ``timeout_s`` seconds; return the newest state then."""
        with self._publishing:
            self._publishing.wait_for(lambda: self._published is not state, timeout_s)
            return self._published

    def react_with(self, react: Callable[[Event], None]) -> None:
        """Call ``react`` with every event, too; it must be quick."""
        first = self._react

        def both(event: Event) -> None:
            first(event)
            react(event)

        self._react = both

    def show_stuck(self, stack: str | None) -> None:
        """Show the stack of a batch that does not end in the views; None: the engine reports again. Thread: any."""
        self._live.apply(Stuck(stack))
        self._recorder.flush_soon()  # the panel reads the history
        self.notify()

    def say(self, text: str) -> None:
        """Add a line of the session to the log. Thread: any."""
        self.publish(Logged((LogLine(time.time(), "detjupyter", text),)))

    def warn(self, text: str, until: Until) -> None:
        """Add a warning, and its line in the log. Thread: any."""
        self.say(text)
        self.publish(Warned(text, until))

    def detach(self) -> None:
        """Ignore all further events: the engine was abandoned."""
        self._is_detached = True

    def notify(self) -> None:
        """Notify the views now."""
        # Times are on a fixed grid, at most ten a second, so that a report that comes slightly early does not wait for the next time.
        self._next_notice = max(self._next_notice + REPORT_INTERVAL_S, time.monotonic())
        for listener in list(self._listeners):
            try:
                with uncaptured():  # what a view displays is not output of the trial
                    listener()
            except Exception as error:  # a failing view must not end a training
                self._drop(listener)
                self.say(f"A view was closed: it failed with {type(error).__name__}: {error}")

    def _drop(self, listener: Listener) -> None:
        with suppress(ValueError):  # it was already dropped
            self._listeners.remove(listener)
