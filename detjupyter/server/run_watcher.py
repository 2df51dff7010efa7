"""Send changes of the store to connected browsers. One per server; it only works while a browser is connected."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from logging import Logger, LoggerAdapter
from typing import TYPE_CHECKING, Any

from tornado.websocket import WebSocketClosedError

from detjupyter.errors import DetJupyterError, RunNotFoundError
from detjupyter.protocol.messages import RunsMessage, RunsRemoved
from detjupyter.protocol.records import RunRecord
from detjupyter.protocol.wire import to_json
from detjupyter.server.changes import News, RunChanges
from detjupyter.server.history import History
from detjupyter.server.tails import RunTail, Subscription

if TYPE_CHECKING:
    from detjupyter.store.base import Store

LOOK_EVERY_S = 0.25
RETRY_AFTER_S = 2.0


@dataclass(eq=False, slots=True)
class Client:
    """A connected browser: its connection, its watched run, and the records that it has not been sent yet.

    A slow browser gets the newest state when it is ready: at most one record per run is pending, never a queue.
    """

    write: Callable[[str], asyncio.Future[None]]
    subscription: Subscription | None = None
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
    """The messages for a client: about runs, and about the run that it watched when they were created."""

    client: Client
    subscription: Subscription | None
    about_runs: tuple[str, ...]
    about_watched: tuple[str, ...]


class _Desk:
    """The state of the watcher while browsers are connected. Thread: one at a time, a worker of the history."""

    def __init__(self) -> None:
        self._changes = RunChanges()
        self._tails: dict[str, RunTail | None] = {}  # None: there is no such run

    def work(self, store: Store, *, clients: dict[Client, Subscription | None], thoroughly: bool) -> list[_Post]:
        """Read the store and return the messages for the clients that are ready."""
        news = self._changes.look(store, thoroughly=thoroughly)
        watched = {subscription.run_id for subscription in clients.values() if subscription is not None}
        self._tails = {run_id: tail for run_id, tail in self._tails.items() if run_id in watched}
        for run_id in watched:
            if run_id not in self._tails:
                self._read(store, run_id, RunTail(run_id))
            elif news.wrote:
                self._read(store, run_id, self._tails[run_id])
        for client in clients:
            client.owe(news)
        return [self._post(client, subscription) for client, subscription in clients.items() if client.is_ready]

    def _read(self, store: Store, run_id: str, tail: RunTail | None) -> None:
        try:
            if tail is not None:
                tail.read(store)
        except RunNotFoundError:
            tail = None
        self._tails[run_id] = tail

    def _post(self, client: Client, subscription: Subscription | None) -> _Post:
        about_watched: list[Any] = []  # Any: messages
        if subscription is not None:
            tail = self._tails[subscription.run_id]
            if tail is not None:
                about_watched += subscription.messages(tail)
            elif not subscription.is_reported_gone:
                subscription.is_reported_gone = True
                about_watched.append(RunsRemoved(run_ids=(subscription.run_id,)))
        about_runs = client.collect(self._changes.newest())
        return _Post(client, subscription, tuple(map(to_json, about_runs)), tuple(map(to_json, about_watched)))


class Watcher:
    """Reads the store four times a second and sends every connected browser its new data.

    Thread: only the event loop's.
    """

    def __init__(self, history: History, log: Logger | LoggerAdapter[Any]) -> None:
        self._history = history
        self._log = log
        self._clients: set[Client] = set()
        self._work: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._thoroughly = False

    @property
    def is_idle(self) -> bool:
        """Whether no browser is connected, so that nothing needs to be read."""
        return self._work is None

    def add(self, client: Client) -> None:
        """Start to send messages to ``client``: first the newest runs."""
        self._clients.add(client)
        if self._work is None:
            self._work = asyncio.ensure_future(self._run())
        self._wake.set()

    def remove(self, client: Client) -> None:
        """Stop sending messages to ``client``; safe to call twice."""
        self._clients.discard(client)
        if not self._clients and self._work is not None:
            self._work.cancel()
            self._work = None

    def watch(self, client: Client, run_id: str | None) -> None:
        """Send the curves and the log of the run to ``client`` from now on, from the start; of none, if None."""
        client.subscription = None if run_id is None else Subscription(run_id)
        self._wake.set()

    def look_now(self) -> None:
        """Read the store at once, and thoroughly, after a change by this server."""
        self._thoroughly = True
        self._wake.set()

    async def _run(self) -> None:
        desk = _Desk()
        complaint = None
        while True:
            try:
                await self._look(desk)
                complaint = None
            except Exception as error:  # with any error of the store, the browsers remain connected and get data when it works again
                if str(error) != complaint:
                    complaint = str(error)
                    self._log.error("detjupyter: the runs cannot be watched: %s", error, exc_info=not isinstance(error, DetJupyterError))
                desk = _Desk()
                await asyncio.sleep(RETRY_AFTER_S)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK_EVERY_S)
            self._wake.clear()

    async def _look(self, desk: _Desk) -> None:
        clients = {client: client.subscription for client in self._clients}
        thoroughly, self._thoroughly = self._thoroughly, False
        for post in await self._history.read(partial(desk.work, clients=clients, thoroughly=thoroughly)):
            texts = [*post.about_runs]
            if post.client.subscription is post.subscription:  # otherwise the browser now watches another run
                texts += post.about_watched
            for text in texts:
                self._write(post.client, text)

    def _write(self, client: Client, text: str) -> None:
        if client in self._clients and not client.send(text):
            self.remove(client)


def _retrieve_error(flushed: asyncio.Future[None]) -> None:
    # the connection broke during the write: its handler handles that, and asyncio must not log it
    if not flushed.cancelled():
        flushed.exception()
