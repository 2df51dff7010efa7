from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from detjupyter.errors import DefinitionNotFoundError
from detjupyter.protocol.files import ScanningRecord
from detjupyter.server.scans import Scans

ROOT = Path("/somewhere")


class Reader:
    """A scan that goes on until it is told to end, and says how far it is."""

    def __init__(self) -> None:
        self.started: list[tuple[str, bool]] = []
        self.ended: list[str] = []
        self.may_end = threading.Event()

    def __call__(self, root: Path, path: str, any_size: bool, progress: Callable[[int], None]) -> str:
        """Count until the test says that it is enough."""
        assert root == ROOT
        self.started.append((path, any_size))
        found = 0
        try:
            while not self.may_end.wait(0.01):
                found += 1
                progress(found)
            if path == "missing":
                raise DefinitionNotFoundError("There is nothing.")
        finally:
            self.ended.append(path)
        return f"files of {path}"

    async def end(self) -> None:
        """Wait until every scan that started has ended."""
        while len(self.ended) < len(self.started):
            await asyncio.sleep(0.01)


@pytest.fixture
def reader() -> Reader:
    """Return a reader that goes on until told."""
    return Reader()


@pytest.fixture
def scans(reader: Reader) -> Iterator[Scans[str]]:
    """Return scans that are put off after 0.2 s and stopped when nobody has waited for 0.2 s."""
    scans = Scans(reader, patience_s=0.2, grace_s=0.2)
    yield scans
    reader.may_end.set()
    scans.close()


async def test_requests_for_one_directory_share_a_scan(scans: Scans[str], reader: Reader) -> None:
    """Ten reloads of a page start one scan; one that takes long is answered with how far it is, and who asks again gets its result."""
    answers = await asyncio.gather(*(scans.scan(ROOT, "digits") for _ in range(10)))
    assert all(isinstance(answer, ScanningRecord) and answer.found > 0 for answer in answers)
    waiting = asyncio.ensure_future(scans.scan(ROOT, "digits"))
    await asyncio.sleep(0.05)
    reader.may_end.set()
    assert await waiting == "files of digits"
    assert reader.started == [("digits", False)]
    assert not scans.is_busy


async def test_what_was_found_after_the_answer_is_kept_for_who_was_put_off(scans: Scans[str], reader: Reader) -> None:
    """A scan that ends between two questions is not made again, and after a while it is."""
    assert isinstance(await scans.scan(ROOT, "digits"), ScanningRecord)
    reader.may_end.set()
    await reader.end()
    assert await scans.scan(ROOT, "digits") == "files of digits"
    assert len(reader.started) == 1
    assert await scans.scan(ROOT, "digits") == "files of digits"
    assert len(reader.started) == 2


async def test_a_scan_is_stopped_when_nobody_waits_for_it(scans: Scans[str], reader: Reader) -> None:
    """A browser that turns away ends its scan, unless another one waits for it, too."""
    first, second = (asyncio.ensure_future(scans.scan(ROOT, "digits")) for _ in range(2))
    await asyncio.sleep(0.05)
    first.cancel()
    await asyncio.sleep(0.1)
    assert scans.is_busy
    assert isinstance(await second, ScanningRecord)
    await asyncio.wait_for(reader.end(), 2)
    assert not reader.may_end.is_set()
    assert not scans.is_busy


async def test_who_asks_after_a_stop_gets_a_scan_of_its_own(scans: Scans[str], reader: Reader) -> None:
    """What was stopped is not handed to the next who asks."""
    stopped = asyncio.ensure_future(scans.scan(ROOT, "digits"))
    await asyncio.sleep(0.05)
    stopped.cancel()
    await asyncio.sleep(0.3)
    reader.may_end.set()
    assert await scans.scan(ROOT, "digits") == "files of digits"
    assert len(reader.started) == 2


async def test_a_scan_of_any_size_is_another_scan(scans: Scans[str], reader: Reader) -> None:
    """Whoever says that any size is meant does not wait for the scan that would refuse it."""
    reader.may_end.set()
    assert await asyncio.gather(scans.scan(ROOT, "digits"), scans.scan(ROOT, "digits", any_size=True)) == ["files of digits"] * 2
    assert sorted(reader.started) == [("digits", False), ("digits", True)]


async def test_progress_is_told_once_a_scan_has_taken_a_second(reader: Reader) -> None:
    """How many paths were met so far is told while a long scan lasts, never less than before; of a short one nothing is told."""
    told: list[tuple[str, int]] = []
    scans = Scans(reader)
    try:
        scan = asyncio.ensure_future(scans.scan(ROOT, "digits", tell=lambda path, found: told.append((path, found))))
        await asyncio.sleep(0.7)
        assert told == []
        await asyncio.sleep(1.0)
        reader.may_end.set()
        assert await scan == "files of digits"
    finally:
        scans.close()
    assert len(told) >= 2
    assert {path for path, _ in told} == {"digits"}
    assert [found for _, found in told] == sorted(found for _, found in told)


async def test_a_scan_that_fails_says_so_to_all_who_wait(scans: Scans[str], reader: Reader) -> None:
    """Each of those who share a scan hears why there is no result, and the next scan is a new one."""
    waiting = [asyncio.ensure_future(scans.scan(ROOT, "missing")) for _ in range(2)]
    await asyncio.sleep(0.05)
    reader.may_end.set()
    for one in waiting:
        with pytest.raises(DefinitionNotFoundError):
            await one
    with pytest.raises(DefinitionNotFoundError):
        await scans.scan(ROOT, "missing")
    assert len(reader.started) == 2


async def test_closing_ends_every_scan(reader: Reader) -> None:
    """A server that shuts down does not wait for a directory to be read to its end."""
    scans = Scans(reader)
    waiting = asyncio.ensure_future(scans.scan(ROOT, "digits"))
    await asyncio.sleep(0.05)
    scans.close()
    scans.close()
    await asyncio.wait_for(reader.end(), 2)
    with pytest.raises(asyncio.CancelledError):
        await waiting
