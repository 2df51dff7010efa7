"""Read what a model definition holds: names, sizes and the rules that decided; never contents, never an import."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from detjupyter.errors import DefinitionNotFoundError
from detjupyter.protocol.records import DefinitionRecord
from detjupyter.server.answers import RefusedError, to_json
from detjupyter.server.paths import inside

MAX_FILES = 5_000
PATIENCE_S = 20.0


class Scans:
    """Scans under way. Two requests for one directory share a scan, so that reloading a page does not pile them up.

    Thread: ``scan`` belongs to the event loop; the scan runs in a worker thread.
    """

    def __init__(self, *, patience_s: float = PATIENCE_S) -> None:
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="detjupyter-scan")
        self._under_way: dict[tuple[Path, str], asyncio.Future[str]] = {}
        self._patience_s = patience_s

    @property
    def is_busy(self) -> bool:
        """Whether a scan is under way."""
        return bool(self._under_way)

    async def scan(self, root: Path, path: str) -> str:
        """Return the :class:`DefinitionRecord` of ``path`` under ``root`` as JSON.

        Raises:
            DefinitionError: ``path`` is refused, or leads to nothing.
            RefusedError: the scan takes too long; it goes on, and the next request may find it finished.
        """
        key = (root, path)
        scan = self._under_way.get(key)
        if scan is None:
            scan = asyncio.get_running_loop().run_in_executor(self._threads, partial(_scan, root, path))
            self._under_way[key] = scan
            scan.add_done_callback(lambda _: self._under_way.pop(key, None))
            scan.add_done_callback(_look_at_its_error)
        try:
            return await asyncio.wait_for(asyncio.shield(scan), self._patience_s)
        except asyncio.TimeoutError:
            raise RefusedError(
                504,
                f"{path or 'The root directory'} holds too many files to list in {self._patience_s:.0f} s.",
                hint="Keep the model definition in a directory of its own, or leave data out with a .detignore file.",
            ) from None

    def close(self) -> None:
        """Start no further scan; safe to call twice."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_at_its_error(scan: asyncio.Future[str]) -> None:
    # a scan whose request gave up may fail with nobody waiting; asyncio would complain
    if not scan.cancelled():
        scan.exception()


def _scan(root: Path, path: str) -> str:
    place = inside(root, path)
    if not place.is_dir() and place.suffix != ".py":
        raise DefinitionNotFoundError(f"There is no directory and no .py file at {path!r} under the server's root.")
    return to_json(_record(place, place.relative_to(root).as_posix() if place != root else ""))


def _record(place: Path, path: str) -> DefinitionRecord:
    # pathspec and what comes with it, which a server without a sidebar never needs
    from detjupyter.definition import ModelDefinition

    definition = ModelDefinition(place)
    report = definition.files()
    files = report.records(MAX_FILES)
    return DefinitionRecord(
        path=path,
        name=definition.name,
        entrypoints=tuple(str(entrypoint) for entrypoint in definition.entrypoints()),
        files=files,
        truncated=max(0, len(report.included) + len(report.excluded) - len(files)),
        included_files=len(report.included),
        included_bytes=report.total_bytes,
        excluded_entries=len(report.excluded),
        limit_bytes=report.limit_bytes,
    )
