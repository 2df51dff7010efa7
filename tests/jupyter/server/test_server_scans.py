from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.waiting import LIMIT_S, until

from detjupyter.errors import DefinitionNotFoundError
from detjupyter.protocol.files import ScanningRecord
from detjupyter.server.scans import Scans

ROOT = Path("/somewhere")


class Reader:
    """A scan that runs until the test ends it, and reports its progress."""

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

    async def has_started(self) -> None:
        """Wait until a scan has begun."""
        await until(lambda: self.started)


@pytest.fixture
def reader() -> Reader:
    """Return a reader that runs until the test ends it."""
    return Reader()


@pytest.fixture
def scans(reader: Reader) -> Iterator[Scans[str]]:
    """Return scans that answer within 0.2 s and stop when no request has waited for 0.2 s."""
    scans = Scans(reader, answer_within_s=0.2, grace_s=0.2)
    yield scans
    reader.may_end.set()
    scans.close()


@pytest.fixture
def patient(reader: Reader) -> Iterator[Scans[str]]:
    """Return scans that are neither put off nor stopped within the time of a test."""
    scans = Scans(reader, answer_within_s=LIMIT_S, grace_s=LIMIT_S)
    yield scans
    reader.may_end.set()
    scans.close()


async def result_of(scans: Scans[str], path: str) -> str:
    """Ask until there is a result, as a browser does."""
    while isinstance(answer := await scans.scan(ROOT, path), ScanningRecord):
        pass
    return answer


async def test_requests_for_one_directory_share_a_scan(scans: Scans[str], reader: Reader) -> None:
    """Ten reloads of a page start one scan; one that takes long is answered with how far it is, and who asks again gets its result."""
    answers = await asyncio.gather(*(scans.scan(ROOT, "digits") for _ in range(10)))
    assert all(isinstance(answer, ScanningRecord) for answer in answers)
    waiting = asyncio.ensure_future(result_of(scans, "digits"))
    await reader.has_started()
    reader.may_end.set()
    assert await waiting == "files of digits"
    assert reader.started == [("digits", False)]
    assert not scans.is_busy


async def test_what_was_found_after_the_answer_is_kept_for_who_was_put_off(reader: Reader) -> None:
    """A scan that ends between two questions is not made again, and after a while it is."""
    scans = Scans(reader, answer_within_s=0.2, grace_s=LIMIT_S)
    assert isinstance(await scans.scan(ROOT, "digits"), ScanningRecord)
    reader.may_end.set()
    await reader.end()
    assert await scans.scan(ROOT, "digits") == "files of digits"
    assert len(reader.started) == 1
    assert await result_of(scans, "digits") == "files of digits"
    assert len(reader.started) == 2
    scans.close()


async def test_a_scan_is_stopped_when_nobody_waits_for_it(scans: Scans[str], reader: Reader) -> None:
    """A browser that turns away ends its scan, unless another one waits for it, too."""
    first, second = (asyncio.ensure_future(scans.scan(ROOT, "digits")) for _ in range(2))
    await reader.has_started()
    first.cancel()
    assert isinstance(await second, ScanningRecord)
    await asyncio.wait_for(reader.end(), LIMIT_S)
    assert not reader.may_end.is_set()
    await until(lambda: not scans.is_busy)
    assert len(reader.started) == 1


async def test_who_asks_after_a_stop_gets_a_scan_of_its_own(scans: Scans[str], reader: Reader) -> None:
    """What was stopped is not handed to the next who asks."""
    stopped = asyncio.ensure_future(scans.scan(ROOT, "digits"))
    await reader.has_started()
    stopped.cancel()
    await asyncio.wait_for(reader.end(), LIMIT_S)
    reader.may_end.set()
    assert await result_of(scans, "digits") == "files of digits"
    assert len(reader.started) == 2


async def test_a_scan_of_any_size_is_another_scan(patient: Scans[str], reader: Reader) -> None:
    """A request that accepts any size does not wait for the scan that would refuse it."""
    reader.may_end.set()
    assert await asyncio.gather(patient.scan(ROOT, "digits"), patient.scan(ROOT, "digits", any_size=True)) == ["files of digits"] * 2
    assert sorted(reader.started) == [("digits", False), ("digits", True)]


async def test_progress_is_reported_once_a_scan_has_taken_a_second(patient: Scans[str], reader: Reader) -> None:
    """During a long scan the number of paths is reported, and never decreases."""
    reported: list[tuple[str, int]] = []
    began = time.monotonic()
    scan = asyncio.ensure_future(patient.scan(ROOT, "digits", notify=lambda path, found: reported.append((path, found))))
    await until(lambda: reported)
    assert time.monotonic() - began >= 1.0
    await until(lambda: len(reported) >= 2)
    reader.may_end.set()
    assert await scan == "files of digits"
    assert {path for path, _ in reported} == {"digits"}
    assert [found for _, found in reported] == sorted(found for _, found in reported)


async def test_a_scan_that_fails_says_so_to_all_who_wait(patient: Scans[str], reader: Reader) -> None:
    """Every request that shares a scan gets the error, and the next request starts a new scan."""
    waiting = [asyncio.ensure_future(patient.scan(ROOT, "missing")) for _ in range(2)]
    await reader.has_started()
    reader.may_end.set()
    for one in waiting:
        with pytest.raises(DefinitionNotFoundError):
            await one
    with pytest.raises(DefinitionNotFoundError):
        await patient.scan(ROOT, "missing")
    assert len(reader.started) == 2


async def test_closing_ends_every_scan(reader: Reader) -> None:
    """A server that shuts down does not wait for a directory to be read to its end."""
    scans = Scans(reader)
    waiting = asyncio.ensure_future(scans.scan(ROOT, "digits"))
    await reader.has_started()
    scans.close()
    scans.close()
    await asyncio.wait_for(reader.end(), LIMIT_S)
    with pytest.raises(asyncio.CancelledError):
        await waiting
