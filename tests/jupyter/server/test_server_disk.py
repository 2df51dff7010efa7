from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.served import Api, Connect, Live, write
from support.waiting import until

from detjupyter.server.disk_watcher import DiskWatcher


@pytest.fixture
def digits(jp_root_dir: Path) -> Path:
    """Write a model definition with a directory that ships and one that does not; its scan is later by more than a tick of time stamps."""
    files = {"model_def.py": "", "nets/small.py": "", "data/one.csv": "", "run.log": "", ".detignore": "data/\n*.log\n"}
    root = write(jp_root_dir / "digits", files)
    time.sleep(0.05)
    return root


@pytest.fixture
def disk(jp_serverapp: Any) -> DiskWatcher:
    """Return the server's watcher of directories."""
    watcher = jp_serverapp.web_app.settings["detjupyter"].disk
    assert isinstance(watcher, DiskWatcher)
    return watcher


async def look(live: Live, api: Api, path: str = "digits") -> None:
    """Watch a definition as the panel does, and wait until its edits are detected."""
    await live.watch_definition(path)
    await api.get("definition", path=path)
    assert await live.next("definition_watched") == {"kind": "definition_watched", "path": path, "watched": True, "failure": None}


async def test_an_edit_on_disk_is_reported_to_the_browsers_that_show_it(connect: Connect, api: Api, digits: Path) -> None:
    """A file that another program writes, adds, renames or deletes, at any depth, is reported within about a second."""
    async with connect() as live:
        await look(live, api)

        def write_model() -> None:
            (digits / "model_def.py").write_text("edited = True\n")

        def replace_net() -> None:  # as editors do: a new file takes the name of the old one
            (digits / "nets/draft").write_text("edited = True\n")
            (digits / "nets/draft").replace(digits / "nets/small.py")

        edits = (
            write_model,
            replace_net,
            lambda: (digits / "new.py").touch(),
            lambda: (digits / "new.py").rename(digits / "newer.py"),
            lambda: (digits / "newer.py").unlink(),
            lambda: (digits / ".detignore").write_text("data/\n"),
        )
        for edit in edits:
            await asyncio.sleep(0.5)
            edit()
            assert (await live.next("definition_changed"))["path"] == "digits"


async def test_a_burst_of_writes_is_reported_a_few_times(connect: Connect, api: Api, digits: Path) -> None:
    """A hundred files in a second do not give a hundred messages, and no message follows the last one."""
    async with connect() as live:
        await look(live, api)
        began = time.monotonic()
        for number in range(100):
            (digits / f"{number}.py").write_text("x")
            await asyncio.sleep(0.01)
        took_s = time.monotonic() - began
        await live.next("definition_changed")
        reported = 1
        with suppress(asyncio.TimeoutError):
            while reported < 100:
                await live.next("definition_changed", within_s=1.5)
                reported += 1
        assert reported <= 4 + 4 * took_s  # a slow machine writes for longer


async def test_what_is_left_out_is_not_watched(connect: Connect, api: Api, digits: Path) -> None:
    """Edits below an excluded directory and of an excluded log are not reported; adding or deleting such a file is."""
    async with connect() as live:
        await look(live, api)
        (digits / "data/two.csv").write_text("x")
        (digits / "run.log").write_text("step 1\n")
        await live.none_of("definition_changed", for_s=0.8)
        (digits / "run.log").unlink()
        await live.next("definition_changed")


async def test_a_directory_that_is_made_later_is_watched_after_the_next_look(connect: Connect, api: Api, digits: Path) -> None:
    """A new directory, though empty, is news; once the panel has listed the files again, so is what is written into it."""
    async with connect() as live:
        await look(live, api)
        (digits / "layers").mkdir()
        await live.next("definition_changed")
        await api.get("definition", path="digits")
        await asyncio.sleep(0.6)
        (digits / "layers/flat.py").write_text("x")
        await live.next("definition_changed")


async def test_no_edit_is_lost_while_the_watch_is_renewed(connect: Connect, api: Api, digits: Path) -> None:
    """Edits made while a listing finds other directories are still reported."""
    async with connect() as live:
        await look(live, api)
        for number in range(5):
            await asyncio.sleep(1.0)
            write(digits, {f"part{number}/one.py": ""})
            await live.next("definition_changed")
            (digits / "model_def.py").write_text(f"edited = {number}\n")
            await api.get("definition", path="digits")  # finds the new directory before the edit is reported
            await live.next("definition_changed")


@pytest.mark.parametrize(
    ("edit", "is_reported"),
    [
        (lambda root: write(root, {"weights/a.bin": "x"}), True),
        (lambda root: os.truncate(root / "nets/small.py", 5), True),
        (lambda root: (root / "nets/small.py").unlink(), True),
        (lambda root: (root / "model_def.py").write_text("edited = True\n"), True),
        (lambda root: (root / "run.log").write_text("step 1\n"), False),
        (lambda root: write(root, {"data/two.csv": "x"}), False),
        (lambda _: None, False),
    ],
    ids=["a new directory", "a longer file", "a deleted file", "a written file", "a file left out", "in a directory left out", "nothing"],
)
@pytest.mark.parametrize("path", ["digits", "digits/model_def.py"])
async def test_an_edit_between_the_scan_and_the_watch_is_reported(
    path: str,
    edit: Callable[[Path], object],
    is_reported: bool,
    connect: Connect,
    api: Api,
    digits: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """The system reports nothing from before its watch; what ships is compared with the time of the scan."""
    import watchfiles

    may_watch, watch = threading.Event(), watchfiles.watch

    def watch_late(*arguments: Any, **options: Any) -> Any:
        may_watch.wait()
        yield from watch(*arguments, **options)

    monkeypatch.setattr(watchfiles, "watch", watch_late)
    request.addfinalizer(may_watch.set)
    async with connect() as live:
        await live.watch_definition(path)
        await api.get("definition", path=path)
        edit(digits)
        may_watch.set()
        assert (await live.next("definition_watched"))["watched"]
        if is_reported and (path == "digits" or "edited" in (digits / "model_def.py").read_text()):
            assert (await live.next("definition_changed"))["path"] == path
        else:
            await live.none_of("definition_changed", for_s=0.5)


async def test_nothing_is_watched_while_nobody_looks(connect: Connect, api: Api, digits: Path, disk: DiskWatcher) -> None:
    """A listing alone begins no watch; when the last browser turns away or leaves, the watch and its thread end."""
    await no_threads()  # of the test before
    await api.get("definition", path="digits")
    assert (disk.watched, threads()) == (frozenset(), 0)
    async with connect() as first, connect() as second:
        await look(first, api)
        await second.watch_definition("digits")
        assert (await second.next("definition_watched"))["watched"]
        assert (disk.watched, threads()) == ({"digits"}, 1)
        await first.watch_definition(None)
        (digits / "model_def.py").write_text("edited = True\n")
        await second.next("definition_changed")
        await first.none_of("definition_changed", for_s=0.3)
    await no_threads()
    assert disk.watched == frozenset()


async def test_a_watch_that_is_renewed_as_the_browser_leaves_ends_too(
    connect: Connect, api: Api, digits: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """The watch with the old directories waits for the new one; if that never begins, both end."""
    import watchfiles

    await no_threads()  # of the test before
    may_watch, watch = threading.Event(), watchfiles.watch
    request.addfinalizer(may_watch.set)

    def watch_late(*arguments: Any, **options: Any) -> Any:
        may_watch.wait()
        yield from watch(*arguments, **options)

    async with connect() as live:
        await look(live, api)
        monkeypatch.setattr(watchfiles, "watch", watch_late)
        for number in range(2):
            write(digits, {f"part{number}/one.py": ""})
            await api.get("definition", path="digits")
        assert threads() == 3
        await live.watch_definition(None)
        await until(lambda: threads() == 2, "the end of the watch that is replaced")
        may_watch.set()
        await no_threads()


async def test_a_definition_of_one_file_is_watched_alone(connect: Connect, api: Api, digits: Path) -> None:
    """Other files next to a single-file definition are not reported."""
    async with connect() as live:
        await look(live, api, "digits/model_def.py")
        (digits / "other.py").write_text("x")
        await live.none_of("definition_changed", for_s=0.6)
        (digits / "model_def.py").write_text("edited = True\n")
        await live.next("definition_changed")


async def test_where_the_system_cannot_watch_the_browser_must_poll(
    connect: Connect, api: Api, digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the system's limit of watches the listing still works, and the message says that edits are not reported."""

    def no_more(*_paths: str, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("watchfiles.watch", no_more)
    async with connect() as live:
        await live.watch_definition("digits")
        assert (await api.get("definition", path="digits"))["name"] == "digits"
        message = await live.next("definition_watched")
        assert (message["path"], message["watched"]) == ("digits", False)
        assert message["failure"] == {
            "message": "Edits on disk are not noticed: No space left on device.",
            "hint": "Refresh, at the top, reads the files again.",
        }


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("inotify is broken"), TypeError("a bug")], ids=str)
async def test_a_watch_that_fails_is_begun_again(
    error: Exception, connect: Connect, api: Api, digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The browsers get the reason once, also one that joins later, and edits are reported as soon as the system can watch."""
    import watchfiles

    attempts, watch = [], watchfiles.watch

    def watch_at_last(*arguments: Any, **options: Any) -> Any:
        attempts.append(arguments)
        if len(attempts) < 4 or not may_watch.is_set():
            raise error
        yield from watch(*arguments, **options)

    may_watch = threading.Event()
    monkeypatch.setattr(watchfiles, "watch", watch_at_last)
    monkeypatch.setattr("detjupyter.server.retrying.FIRST_PAUSE_S", 0.02)
    async with connect() as first, connect() as second:
        await first.watch_definition("digits")
        await api.get("definition", path="digits")
        failed = await first.next("definition_watched")
        assert str(error.args[-1]) in failed["failure"]["message"]
        await until(lambda: len(attempts) >= 4, "the fourth attempt")
        await second.watch_definition("digits")
        assert await second.next("definition_watched") == failed
        may_watch.set()
        for live in (first, second):
            message = await live.next("definition_watched")
            assert (message["watched"], message["failure"]) == (True, None)
        (digits / "model_def.py").write_text("edited = True\n")
        for live in (first, second):
            await live.next("definition_changed")


async def test_a_watch_that_fails_is_given_up_with_its_last_browser(
    connect: Connect, api: Api, digits: Path, disk: DiskWatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No attempt follows."""
    attempts: list[object] = []

    def no_more(*paths: str, **_options: object) -> None:
        attempts.append(paths)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("watchfiles.watch", no_more)
    monkeypatch.setattr("detjupyter.server.retrying.FIRST_PAUSE_S", 0.02)
    async with connect() as live:
        await live.watch_definition("digits")
        await api.get("definition", path="digits")
        await until(lambda: len(attempts) > 1, "the second attempt")
        await live.watch_definition(None)
        await until(lambda: disk.watched == frozenset(), "the end of the watch")
        await no_threads()
        before = len(attempts)
        await asyncio.sleep(0.3)
        assert len(attempts) == before


async def test_of_very_many_directories_those_near_the_root_are_watched(
    connect: Connect, api: Api, digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's watches are shared: beyond a number of directories, the browser is informed that edits may be missed."""
    monkeypatch.setattr("detjupyter.server.listing.MAX_WATCHED", 3)
    write(digits, {f"part{number}/x.py": "" for number in range(9)})
    async with connect() as live:
        await live.watch_definition("digits")
        await api.get("definition", path="digits")
        assert (await live.next("definition_watched"))["watched"] is False
        (digits / "model_def.py").write_text("edited = True\n")
        await live.next("definition_changed")


async def test_a_definition_that_is_deleted_is_reported(connect: Connect, api: Api, digits: Path) -> None:
    """If the whole directory is deleted, the panel is notified and finds it missing."""
    async with connect() as live:
        await look(live, api)
        digits.rename(digits.parent.parent / "elsewhere")
        await live.next("definition_changed")
        status, _ = await api.refused("definition", path="digits")
        assert status == 404


async def test_a_wish_that_makes_no_sense_is_left(connect: Connect, api: Api, digits: Path, disk: DiskWatcher) -> None:
    """An invalid path, or a path that was never listed, starts no watch, and the connection is kept."""
    async with connect() as live:
        for path in (5, ["digits"], "../../etc", "never listed"):
            await live.say({"kind": "watch_definition", "path": path})
        await asyncio.sleep(0.2)
        assert disk.watched == frozenset()
        await look(live, api)


def test_a_million_files_under_an_excluded_directory_cost_nothing(tmp_path: Path) -> None:
    """Where edits could happen is found without entering what is left out, however much is in it."""
    from detjupyter.server.listing import list_definition

    root = write(tmp_path / "digits", {"model_def.py": "", "data/deep/er/one.csv": "", ".detignore": "data/\n"})
    (root / "data").chmod(0o000)  # entering it would fail for anybody but root
    try:
        ground = list_definition(tmp_path.resolve(), "digits", False, lambda _: None).ground
    finally:
        (root / "data").chmod(0o755)
    assert [os.path.relpath(directory, root) for directory in ground.directories] == ["."]
    assert ground.is_whole


async def no_threads() -> None:
    """Wait until no thread watches directories."""
    await until(lambda: threads() == 0)


def threads() -> int:
    """Return how many threads watch directories."""
    return sum(thread.name == "detjupyter-disk" for thread in threading.enumerate())
