"""Send changes of the store to connected browsers. One per server; it only works while a browser is connected."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from logging import Logger, LoggerAdapter
from typing import TYPE_CHECKING, Any

from tornado.websocket import WebSocketClosedError

from detjupyter.errors import DetJupyterError, ProtocolError, RunNotFoundError
from detjupyter.protocol.messages import FailureRecord, HistoryWatched, RunsMessage, RunsRemoved
from detjupyter.protocol.records import RunRecord
from detjupyter.protocol.wire import to_json
from detjupyter.server.answers import failure_of
from detjupyter.server.changes import News, RunChanges
from detjupyter.server.history import History
from detjupyter.server.retrying import GrowingPause
from detjupyter.server.tails import RunTail, Subscription

if TYPE_CHECKING:
    from detjupyter.store.base import Store

LOOK_EVERY_S = 0.25
MAX_WATCHES = 200

Log = Logger | LoggerAdapter[Any]


@dataclass(eq=False, slots=True)
class Client:
    """A connected browser: its connection, its watched runs by number, and the records that it has not been sent yet.

    A slow browser gets the newest state when it is ready: at most one record per run is pending, never a queue.
    """

    write: Callable[[str], asyncio.Future[None]]
    subscriptions: dict[int, Subscription] = field(default_factory=dict)
    owed: dict[str, RunRecord] | None = None  # None: not even the first list was sent
    gone: set[str] = field(default_factory=set)
    flushed: asyncio.Future[None] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether everything written so far was sent."""
        return self.flushed is None or self.flushed.done()

    def send(self, text: str) -> bool:
        """Send ``text``; return whether the browser is still connected."""
        try:
            self.flushed = self.write(text)
        except WebSocketClosedError:
            return False
        self.flushed.add_done_callback(_retrieve_error)
        return True

    def owe(self, news: News) -> None:
        """Store ``news`` until the browser is ready."""
        if self.owed is None:
            return
        self.gone.update(news.gone)
        for run_id in news.gone:
            self.owed.pop(run_id, None)
        for run in news.changed:
            self.owed[run.id] = run
            self.gone.discard(run.id)

    def collect(self, newest: Iterable[RunRecord]) -> list[RunsMessage | RunsRemoved]:
        """Return the pending messages about runs; the first message is the list, even if it is empty."""
        messages: list[RunsMessage | RunsRemoved] = []
        if self.owed is None:
            messages.append(RunsMessage(runs=tuple(newest)))
        elif self.owed:
            messages.append(RunsMessage(runs=tuple(self.owed.values())))
        if self.gone:
            messages.append(RunsRemoved(run_ids=tuple(sorted(self.gone))))
        self.owed, self.gone = {}, set()
        return messages


@dataclass(frozen=True, slots=True)
class _Post:
    """The messages for a client: about runs, and about each run that it watched when they were created."""

    client: Client
    about_runs: tuple[str, ...]
    about_watched: tuple[tuple[Subscription, tuple[str, ...]], ...]


class _WatchedRun:
    """A run that browsers watch: its tail, or why there is none. Thread: one at a time, a worker of the history."""

    def __init__(self, run_id: str, log: Log) -> None:
        self.tail: RunTail | None = None
        self.is_gone = False
        self.failure: FailureRecord | None = None
        self._run_id = run_id
        self._log = log
        self._pause = GrowingPause()

    def read(self, store: Store, *, wrote: bool) -> None:
        """Read what is new, if the store was written; after a failure everything, when the pause is over."""
        is_due = wrote or self.tail is None if self.failure is None else self._pause.is_over
        if self.is_gone or not is_due:
            return
        try:
            tail = self.tail or RunTail(self._run_id)
            tail.read(store)
        except RunNotFoundError:
            self.tail, self.is_gone = None, True
        except Exception as error:  # damaged data of one run must not keep the other runs from the browsers
            self._fail(error)
        else:
            if self.failure is not None:
                self.failure, self._pause = None, GrowingPause()
            self.tail = tail

    def _fail(self, error: Exception) -> None:
        if self.failure is None:
            _log_failure(self._log, f"the run {self._run_id}", error)
        self.tail, self.failure = None, failure_of(error)
        self._pause.begin()


class _Desk:
    """The state of the watcher while browsers are connected. Thread: one at a time, a worker of the history."""

    def __init__(self, log: Log) -> None:
        self._changes = RunChanges()
        self._log = log
        self._watched: dict[str, _WatchedRun] = {}

    def work(self, store: Store, *, clients: dict[Client, tuple[Subscription, ...]], thoroughly: bool) -> list[_Post]:
        """Read the store and return the messages for the clients that are ready."""
        news = self._changes.look(store, thoroughly=thoroughly)
        watched = {subscription.run_id for subscriptions in clients.values() for subscription in subscriptions}
        self._watched = {run_id: self._watched.get(run_id) or _WatchedRun(run_id, self._log) for run_id in watched}
        for run in self._watched.values():
            run.read(store, wrote=news.wrote)
        for client in clients:
            client.owe(news)
        return [self._post(client, subscriptions) for client, subscriptions in clients.items() if client.is_ready]

    def _post(self, client: Client, subscriptions: Iterable[Subscription]) -> _Post:
        about_watched = tuple((subscription, tuple(map(to_json, self._about(subscription)))) for subscription in subscriptions)
        about_runs = client.collect(self._changes.newest())
        return _Post(client, tuple(map(to_json, about_runs)), about_watched)

    def _about(self, subscription: Subscription) -> Sequence[Any]:  # Any: messages
        run = self._watched[subscription.run_id]
        if run.tail is not None:
            return subscription.messages(run.tail)
        if run.failure is not None:
            return subscription.fail(run.failure)
        if subscription.is_reported_gone:
            return ()
        subscription.is_reported_gone = True
        return [RunsRemoved(run_ids=(subscription.run_id,))]


class Watcher:
    """Reads the store four times a second and sends every connected browser its new data.

    Thread: only the event loop's.
    """

    def __init__(self, history: History, log: Log) -> None:
        self._history = history
        self._log = log
        self._clients: set[Client] = set()
        self._work: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._thoroughly = False
        self._failure: FailureRecord | None = None
        self._complaint: str | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no browser is connected, so that nothing needs to be read."""
        return self._work is None

    def add(self, client: Client) -> None:
        """Start to send messages to ``client``: first the newest runs."""
        self._clients.add(client)
        if self._work is None:
            self._work = asyncio.ensure_future(self._run())
        elif self._failure is not None:
            self._write(client, to_json(HistoryWatched(None, self._failure)))
        self._wake.set()

    def remove(self, client: Client) -> None:
        """Stop sending messages to ``client``; safe to call twice."""
        self._clients.discard(client)
        if not self._clients and self._work is not None:
            self._work.cancel()
            self._work = self._failure = self._complaint = None

    def watch(self, client: Client, run_id: str | None, number: int = 0) -> None:
        """Send the curves and the log of the run to ``client`` from now on, from the start; of none, if None.

        Raises:
            ProtocolError: The browser already watches :data:`MAX_WATCHES` runs.
        """
        if run_id is None:
            client.subscriptions.pop(number, None)
        elif number in client.subscriptions or len(client.subscriptions) < MAX_WATCHES:
            client.subscriptions[number] = Subscription(run_id, number)
        else:
            raise ProtocolError(f"A browser can watch at most {MAX_WATCHES} runs.")
        self._wake.set()

    def look_now(self) -> None:
        """Read the store at once, and thoroughly, after a change by this server or because a user asks."""
        self._thoroughly = True
        self._wake.set()

    async def _run(self) -> None:
        desk, pause = _Desk(self._log), GrowingPause()
        while True:
            wait_s = LOOK_EVERY_S
            try:
                await self._look(desk)
            except Exception as error:  # with any error of the store, the browsers remain connected and get data when it works again
                self._fail(error)
                desk, wait_s = _Desk(self._log), pause.begin()
            else:
                if self._failure is not None:
                    pause = GrowingPause()
                    self._complaint = None
                    self._report(None)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._wake.wait(), wait_s)
            self._wake.clear()

    def _fail(self, error: Exception) -> None:
        if str(error) != self._complaint:
            self._complaint = str(error)
            _log_failure(self._log, "the runs", error)
        for client in self._clients:
            for subscription in client.subscriptions.values():
                subscription.restart()
        self._report(failure_of(error))

    def _report(self, failure: FailureRecord | None) -> None:
        if failure != self._failure:
            self._failure = failure
            for client in list(self._clients):
                self._write(client, to_json(HistoryWatched(None, failure)))

    async def _look(self, desk: _Desk) -> None:
        clients = {client: tuple(client.subscriptions.values()) for client in self._clients}
        thoroughly, self._thoroughly = self._thoroughly, False
        for post in await self._history.read(partial(desk.work, clients=clients, thoroughly=thoroughly)):
            texts = [*post.about_runs]
            for subscription, about_it in post.about_watched:
                if subscription in post.client.subscriptions.values():  # otherwise the browser no longer watches it
                    texts += about_it
            for text in texts:
                self._write(post.client, text)

    def _write(self, client: Client, text: str) -> None:
        if client in self._clients and not client.send(text):
            self.remove(client)


def _log_failure(log: Log, what: str, error: Exception) -> None:
    log.error("detjupyter: %s cannot be watched: %s", what, error, exc_info=None if isinstance(error, DetJupyterError) else error)


def _retrieve_error(flushed: asyncio.Future[None]) -> None:
    # the connection broke during the write: its handler handles that, and asyncio must not log it
    if not flushed.cancelled():
        flushed.exception()
