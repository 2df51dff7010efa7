"""Commands that were sent to an engine, and their answers."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Future
from typing import Any

from detjupyter.protocol.commands import Command, CommandMessage
from detjupyter.protocol.origins import Origin
from support.bench import Bench
from support.waiting import LIMIT_S, wait_until


class Answered:
    """Futures, how often each was answered, and whether the event about the answer came first."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.futures: dict[str, Future[Any]] = {}
        self.times: Counter[str] = Counter()
        self.was_reported: dict[str, bool] = {}

    def send(self, *commands: Command) -> None:
        """Send commands."""
        for command in commands:
            message = CommandMessage(command, Origin.SCRIPT)
            future = self._bench.engine.send(message)
            self.futures[message.id] = future
            future.add_done_callback(lambda _, sent=message.id: self._hear(sent))  # type: ignore[misc]

    def _hear(self, sent: str) -> None:
        self.times[sent] += 1
        self.was_reported[sent] = any(event.id == sent for event in self._bench.answers())

    def check(self, *, reported: bool = True) -> list[BaseException | None]:
        """Check that all were answered once, after the event about it; return the errors."""
        errors = [future.exception(LIMIT_S) for future in self.futures.values()]
        wait_until(lambda: len(self.times) == len(self.futures), "the answers")
        assert set(self.times.values()) == {1}
        if reported:
            assert all(self.was_reported.values())
            assert all(count == 1 for count in Counter(event.id for event in self._bench.answers()).values())
        return errors
