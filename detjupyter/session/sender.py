"""Sends the commands of a session to its engine: refuses what is not allowed, begins the run first, and waits for answers."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from detjupyter.engine.engine import Engine
from detjupyter.engine.refusals import refusal
from detjupyter.engine.reload_report import ReloadReport, compare
from detjupyter.protocol.allowed import verdict
from detjupyter.protocol.commands import COMMANDS, Command, CommandMessage, Internal, Reload, RestoreListed, arguments_of
from detjupyter.protocol.events import CommandAnswered
from detjupyter.session.live_state import LiveState
from detjupyter.session.outbox import Outbox, answer_like
from detjupyter.session.publisher import EventPublisher
from detjupyter.session.run_keeper import RunKeeper
from detjupyter.session.stuck_watch import StuckWatch
from detjupyter.session.waiting import Waiting


class CommandSender:
    """Sends the commands of one session.

    It does not refer to the session, which a command must not keep alive: a session that the user has dropped ends.

    Args:
        engine: Where the commands go.
        live: The live state of the session, which decides what is allowed.
        keeper: Begins the run, and finds the checkpoints.
        publisher: Publishes refusals.
        waiting: Waits for answers.
        watch: Watches for a batch that does not end while a command waits for it.

    Attributes:
        reload_failure: Why the last reload that a view asked for failed, as a sentence for the card; None if none failed since.

    Thread: any; :meth:`ask` not in the engine's own.
    """

    def __init__(
        self, engine: Engine, live: LiveState, keeper: RunKeeper, publisher: EventPublisher, waiting: Waiting, watch: StuckWatch
    ) -> None:
        self.reload_failure: str | None = None
        self._live = live
        self._keeper = keeper
        self._publisher = publisher
        self._waiting = waiting
        self._outbox = Outbox(lambda message: watch.over(engine.send(message)))

    @property
    def is_idle(self) -> bool:
        """Whether a command sent now reaches the engine at once."""
        return self._outbox.is_idle

    def ask(self, command: Command | Internal) -> Any:
        """Send a command, wait for its answer and return it; then wait until the history has what it caused, for half a second at most.

        Raises:
            SessionError: The command is refused, or this is the engine's thread.
        """
        self._waiting.require_other_thread()
        message = CommandMessage(command)
        self.refuse_at_once(message)
        # After the refusals, and not if closed: a command that has no effect must not leave an empty run in the history.
        if isinstance(command, Command) and command.needs_run and not self._live.situation().is_closed:
            self._keeper.require_run()
        try:
            return self._waiting.for_answer(lambda: self._outbox.send(message))
        finally:
            self._keeper.recorder.settle()

    def refuse_at_once(self, message: CommandMessage) -> None:
        """Refuse a command that is not allowed in the current state: the engine would refuse it only after the current batch.

        Raises:
            SessionError: It is refused.
        """
        command: Any = message.command
        if command.kind not in COMMANDS:
            return
        situation, at_batch = self._live.situation(), self._live.record().batches_trained
        what = verdict(command.kind, situation)
        if not what.is_refusal:
            return
        error = refusal(command.kind, what, situation, at_batch)
        arguments = arguments_of(command)
        answer = CommandAnswered(message.id, command.kind, arguments, message.origin, at_batch, at_batch, "refused", error=error.message)
        self._publisher.publish(answer)
        raise error

    def send(self, message: CommandMessage) -> Future[Any]:
        """Send a command and return at once; the future resolves to its answer, that of a reload to its report.

        A command that needs a run waits until a thread has begun the run, and so do all later commands. A listed checkpoint is looked up
        in the same way.
        """
        command, keeper = message.command, self._keeper
        if isinstance(command, Reload):
            return self._after_reload(self._outbox.send(message))
        if isinstance(command, RestoreListed):
            listed = command
            return self._outbox.send_prepared(lambda: replace(message, command=keeper.restore_of(listed)))
        is_open = not self._live.situation().is_closed
        if isinstance(command, Command) and command.needs_run and is_open and not keeper.recorder.has_run(0):
            return self._outbox.send_prepared(lambda: keeper.in_run(message))
        return self._outbox.send(message)

    def _after_reload(self, future: Future[Any]) -> Future[ReloadReport]:
        """Convert the result of ``future`` into a report, and show a failed reload in the card: its sender might not wait for it."""
        outer: Future[ReloadReport] = Future()
        outer.set_running_or_notify_cancel()  # the reload has been sent and cannot be canceled

        def note(done: Future[Any]) -> None:
            error, at = done.exception(), time.strftime("%H:%M:%S")
            self.reload_failure = None if error is None else f"The reload at {at} failed; nothing changed: {error}"
            answer_like(done, outer, lambda loads: compare(loads[0], loads[1], self._live.record().batches_trained))

        future.add_done_callback(note)
        return outer
