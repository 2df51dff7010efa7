"""Notify connected browsers of edits on disk in the definition that they show. Nothing is watched while no browser shows a definition.

Only directories with files that ship are watched, each separately, so that a million files under a directory that is left out cost nothing.
If the system cannot watch them (its limit is reached, a network file system), the browser polls, and the server tries again after pauses.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from logging import Logger, LoggerAdapter
from typing import Any

from detjupyter.protocol.messages import DefinitionChanged, DefinitionWatched, FailureRecord, ScanProgress
from detjupyter.protocol.wire import to_json
from detjupyter.server.listing import Ground
from detjupyter.server.retrying import GrowingPause
from detjupyter.server.run_watcher import Client
from detjupyter.text import one_line

#: Events are collected until none comes for one step, or for the longest time.
STEP_MS = 100
LONGEST_MS = 800
#: The minimum time between two notifications: a training that logs into its own directory writes all the time.
PAUSE_S = 0.3
#: The directories to watch are remembered for this many listed definitions.
KEPT_GROUNDS = 16


class DiskWatcher:
    """The definitions that browsers show, and the watches on them.

    Thread: only the event loop's.
    """

    def __init__(self, log: Logger | LoggerAdapter[Any]) -> None:
        self._log = log
        self._paths: dict[Client, str] = {}
        self._grounds: OrderedDict[str, Ground] = OrderedDict()
        self._watches: dict[str, _Watch] = {}
        self._progress_sent: dict[str, int] = {}
        self._pauses: dict[str, GrowingPause] = {}  # of the definitions whose watch has failed

    @property
    def watched(self) -> frozenset[str]:
        """The definitions that are watched, or are about to be."""
        return frozenset(self._watches)

    def look(self, client: Client, path: str | None) -> None:
        """From now on, notify ``client`` of edits of the definition at ``path``; of none, if None."""
        before = self._paths.pop(client, None)
        if path is not None:
            self._paths[client] = path
            watch = self._watches.get(path)
            if watch is not None and watch.is_on is not None:
                client.send(to_json(DefinitionWatched(path, watch.is_on, watch.failure)))
        for changed in {before, path} - {None}:
            self._settle(str(changed))

    def scanned(self, path: str, ground: Ground) -> None:
        """Remember the directories of the definition at ``path``, which a scan has just found."""
        self._progress_sent.pop(path, None)
        self._grounds[path] = ground
        self._grounds.move_to_end(path)
        if len(self._grounds) > KEPT_GROUNDS:
            # a definition that is shown may be dropped, too: its watch is unchanged until its next scan
            self._grounds.popitem(last=False)
        self._settle(path)

    def notify_progress(self, path: str, found: int) -> None:
        """Notify the browsers that show ``path`` of the number of paths that its scan has found."""
        if self._progress_sent.get(path) != found:
            self._progress_sent[path] = found
            self._notify(path, ScanProgress(path, found))

    def close(self) -> None:
        """Stop every watch; safe to call twice."""
        self._paths.clear()
        for path in list(self._watches):
            self._settle(path)

    def _settle(self, path: str) -> None:
        """Begin, renew or end the watch on ``path``, as needed."""
        watch, ground = self._watches.get(path), self._grounds.get(path)
        if path not in self._paths.values():
            self._progress_sent.pop(path, None)
            self._pauses.pop(path, None)
            if watch is not None:
                del self._watches[path]
                watch.stop()
        elif ground is None:
            return
        elif watch is not None and watch.covers(ground):
            watch.ground = ground
        else:
            self._watches[path] = _Watch(
                ground,
                older=watch,
                begun=lambda new, error: self._begun(path, new, error),
                changed=lambda new: self._changed(path, new),
            )

    def _begun(self, path: str, new: _Watch, error: Exception | None) -> None:
        older, loop = new.older, asyncio.get_running_loop()
        if older is not None:
            # not earlier: only the older watch has seen the latest edits, and perhaps it has not reported them yet
            loop.call_later(LONGEST_MS / 1000, new.stop_older)
        if self._watches.get(path) is not new:
            return
        if error is None:
            self._pauses.pop(path, None)
        else:
            loop.call_later(self._pauses.setdefault(path, GrowingPause()).begin(), self._retry, path, new)
        if older is None or (older.is_on, older.failure) != (new.is_on, new.failure):
            if error is not None:
                self._log.warning("detjupyter: edits in %r are not watched: %s", path, error)
            self._notify(path, DefinitionWatched(path, bool(new.is_on), new.failure))

    def _retry(self, path: str, failed: _Watch) -> None:
        if self._watches.get(path) is failed:  # a scan or another browser may have begun a new one since
            self._settle(path)

    def _changed(self, path: str, watch: _Watch) -> None:
        if not watch.is_stopped and path in self._watches:
            self._notify(path, DefinitionChanged(path))

    def _notify(self, path: str, message: DefinitionChanged | DefinitionWatched | ScanProgress) -> None:
        text = to_json(message)
        for client in [client for client, looked_at in self._paths.items() if looked_at == path]:
            client.send(text)


class _Watch:
    """A thread that waits for the system's notifications about the directories of one ground.

    ``begun`` and ``changed`` are called on the event loop. ``is_on`` is True if every edit is detected; None until the watch works or has
    failed, because of ``failure``. ``older`` is the watch that this one replaces, until `stop_older`.
    """

    def __init__(
        self,
        ground: Ground,
        *,
        older: _Watch | None,
        begun: Callable[[_Watch, Exception | None], None],
        changed: Callable[[_Watch], None],
    ) -> None:
        self.ground = ground
        self.older = older
        self.is_on: bool | None = None
        self.failure: FailureRecord | None = None
        self._begun = begun
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        threading.Thread(target=self._run, name="detjupyter-disk", daemon=True).start()

    @property
    def is_stopped(self) -> bool:
        """Whether no browser uses it any more."""
        return self._stop.is_set()

    def covers(self, ground: Ground) -> bool:
        """Return whether this watch has the directories of ``ground``."""
        return self.failure is None and (self.ground.directories, self.ground.only) == (ground.directories, ground.only)

    def stop(self) -> None:
        """End the thread within a step, and those of the watches that it replaces; safe to call twice."""
        self._stop.set()
        self.stop_older()

    def stop_older(self) -> None:
        """End the watches that this one replaces; safe to call twice."""
        if self.older is not None:
            self.older.stop()
            self.older = None

    def _run(self) -> None:
        try:
            self._watch()
        except Exception as error:  # the system's limit, a deleted directory, any error of watchfiles: the browser must poll
            self._say(self._fail, error)

    def _watch(self) -> None:
        # a compiled library, which a server without a panel never needs
        from watchfiles import Change, watch

        batches = watch(
            *self.ground.directories,
            watch_filter=None,
            debounce=LONGEST_MS,
            step=STEP_MS,
            stop_event=self._stop,
            rust_timeout=STEP_MS,
            yield_on_timeout=True,  # the first batch, even an empty one, shows that the watch works
            raise_interrupt=False,
            force_polling=False,
            recursive=False,
            ignore_permission_denied=True,
        )
        is_first = True
        for batch in batches:
            if is_first:
                is_first = False
                self._say(self._stand)
                # the system says nothing about edits between the scan and now
                if self.ground.was_edited_since_scan():
                    self._say(self._changed, self)
            if any(self.ground.is_touched_by(path, only_written=change is Change.modified) for change, path in batch):
                self._say(self._changed, self)
                self._stop.wait(PAUSE_S)

    def _stand(self) -> None:
        self.is_on = self.ground.is_whole
        self._begun(self, None)

    def _fail(self, error: Exception) -> None:
        self.is_on, self.failure = False, _failure_of(error)
        self._begun(self, error)

    def _say(self, what: Callable[..., None], *arguments: object) -> None:
        with suppress(RuntimeError):  # the server has ended
            self._loop.call_soon_threadsafe(what, *arguments)


def _failure_of(error: Exception) -> FailureRecord:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return FailureRecord(f"Edits on disk are not noticed: {one_line(reason.rstrip('.'))}.", "Refresh, at the top, reads the files again.")
