from __future__ import annotations

import asyncio
import json
import math
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.served import Api, Connect, add_curve, make_run
from support.waiting import until

from detjupyter.protocol.records import LogLine
from detjupyter.protocol.states import State
from detjupyter.server.changes import News, RunChanges
from detjupyter.server.retrying import GrowingPause
from detjupyter.server.run_watcher import MAX_WATCHES, Client
from detjupyter.store import Store
from detjupyter.store.annotation import Annotation

Start = Callable[[str], subprocess.Popen[str]]


async def test_the_first_message_is_the_list_of_runs(connect: Connect, store: Store) -> None:
    """A browser that connects gets the newest hundred runs, newest first; without a history an empty list."""
    async with connect() as live:
        assert (await live.next("runs"))["runs"] == []
    for number in range(103):
        store.create_run(make_run(f"run-{number}", created_at=1_000.0 + number))
    async with connect() as live:
        runs = (await live.next("runs"))["runs"]
    assert (len(runs), runs[0]["id"], runs[-1]["id"]) == (100, "run-102", "run-3")


async def test_what_another_process_writes_arrives(connect: Connect, writer: Start) -> None:
    """A new run, then its points and its log, are pushed to a browser that watches it."""
    process = writer(
        "for line in sys.stdin: exec(line); print('written', flush=True)",
    )

    def write(code: str) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(code + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "written\n"

    async with connect() as live:
        await live.next("runs")
        write("store.create_run(make_run('one', state=State.RUNNING)); add_curve(store, 'one', 'loss', [3.0, float('nan')])")
        (run,) = (await live.next("runs"))["runs"]
        assert (run["id"], run["state"]) == ("one", "running")

        await live.watch("one")
        (patch,) = (await live.next("series"))["patches"]
        assert (patch["start"], patch["batches"], patch["values"]) == (0, [1, 2], [3, "NaN"])

        write("store.append_series('one', Group.TRAINING, 'loss', np.array([3]), np.array([float('inf')]))")
        message = await live.next("series")
        assert (message["run_id"], message["patches"][0]["start"], message["patches"][0]["values"]) == ("one", 2, ["Infinity"])

        write("store.append_log('one', [LogLine(at=1.0, stream='stdout', text='hello')])")
        message = await live.next("log")
        assert (message["run_id"], message["lines"]) == ("one", [{"at": 1, "stream": "stdout", "text": "hello"}])


async def test_a_run_whose_kernel_is_killed_is_interrupted(connect: Connect, writer: Start) -> None:
    """No process records the death of a kernel, but a connected browser still gets the new state."""
    process = writer("store.create_run(make_run('killed', state=State.RUNNING)); print('written', flush=True); time.sleep(60)")
    assert process.stdout is not None
    process.stdout.readline()
    async with connect() as live:
        assert (await live.next("runs"))["runs"][0]["state"] == "running"
        process.kill()
        (run,) = (await live.next("runs"))["runs"]
        assert (run["id"], run["state"]) == ("killed", "interrupted")


async def test_a_deleted_run_is_said_to_be_gone(connect: Connect, store: Store, api: Api) -> None:
    """Deleted through this server, or by another process."""
    for run_id in ("one", "two", "three"):
        store.create_run(make_run(run_id))
    async with connect() as live:
        await live.next("runs")
        await api.send("DELETE", "runs/one")
        assert (await live.next("runs_removed"))["run_ids"] == ["one"]
        store.delete_run("two")
        assert (await live.next("runs_removed"))["run_ids"] == ["two"]
        await live.nothing(for_s=3.0)


def test_a_change_is_found_although_another_run_is_of_the_future(store: Store) -> None:
    """Without the thorough look that every hundred newest runs get: an old run that another user stars, for example."""
    store.create_run(replace(make_run("later"), updated_at=time.time() + 10_000))
    store.create_run(make_run("one"))
    changes = RunChanges()
    changes.look(store)
    store.annotate_runs(["one"], Annotation("renamed"))
    assert [(run.id, run.name) for run in changes.look(store).changed] == [("one", "renamed")]


async def test_watching_a_run_that_is_not_there_says_so_once(connect: Connect) -> None:
    """The browser is informed that the run does not exist, and the connection is kept."""
    async with connect() as live:
        await live.next("runs")
        await live.watch("missing")
        assert (await live.next("runs_removed"))["run_ids"] == ["missing"]
        await live.nothing(for_s=0.6)


async def test_each_browser_gets_what_it_watches(connect: Connect, store: Store) -> None:
    """Two browsers on two runs, and a third that joins late, each get their own run from the start; who turns away gets nothing more."""
    for number, run_id in enumerate(("one", "two")):
        store.create_run(make_run(run_id, state=State.RUNNING))
        add_curve(store, run_id, "loss", [float(number)])
    async with connect() as first, connect() as second, connect() as third:
        for live, run_id in ((first, "one"), (second, "two")):
            await live.next("runs")
            await live.watch(run_id)
            assert (await live.next("series"))["run_id"] == run_id
        add_curve(store, "one", "accuracy", [0.5])
        assert (await first.next("series"))["patches"][0]["name"] == "accuracy"
        await second.nothing(for_s=0.6)
        await third.watch("one")
        assert [patch["name"] for patch in (await third.next("series"))["patches"]] == ["loss", "accuracy"]
        await first.watch(None)
        await asyncio.sleep(0.3)
        add_curve(store, "one", "f1", [0.1])
        assert (await third.next("series"))["patches"][0]["name"] == "f1"
        await first.nothing(for_s=0.6)


async def test_one_connection_watches_several_runs(connect: Connect, store: Store) -> None:
    """Each watch has a number, which is in its messages: two of one run each get all of it, and one ends without the others."""
    for run_id in ("one", "two"):
        store.create_run(make_run(run_id, state=State.RUNNING))
        add_curve(store, run_id, "loss", [1.0])
    async with connect() as live:
        await live.next("runs")
        got = []
        for number, run_id in enumerate(("one", "two", "one"), start=1):
            await live.watch(run_id, number)
            message = await live.next("series")
            got.append((message["number"], message["run_id"], message["patches"][0]["start"]))
        assert got == [(1, "one", 0), (2, "two", 0), (3, "one", 0)]
        await live.watch(None, 1)
        add_curve(store, "one", "accuracy", [0.5])
        assert (await live.next("series"))["number"] == 3
        add_curve(store, "two", "accuracy", [0.5])
        assert (await live.next("series"))["number"] == 2


async def test_a_connection_watches_a_limited_number_of_runs(connect: Connect, store: Store) -> None:
    """What exceeds the limit, and a number that is none, is ignored; the connection and its other runs stay."""
    store.create_run(make_run("one", state=State.RUNNING))
    async with connect() as live:
        await live.next("runs")
        for number in range(MAX_WATCHES):
            await live.watch("one", number)
        for _ in range(MAX_WATCHES):
            await live.next("series")
        await live.watch("one", MAX_WATCHES)
        for number in ("1", None, 1.5, True, {}):
            await live.say({"kind": "watch", "run_id": "one", "number": number})
        add_curve(store, "one", "loss", [0.5])
        assert {(await live.next("series"))["number"] for _ in range(MAX_WATCHES)} == set(range(MAX_WATCHES))
        await live.none_of("series", for_s=0.6)


async def test_watching_again_starts_from_nothing(connect: Connect, store: Store) -> None:
    """A browser that watches the same run a second time gets every curve and the log again."""
    store.create_run(make_run("one"))
    add_curve(store, "one", "loss", [1.0, 2.0])
    store.append_log("one", [LogLine(at=1.0, stream="stdout", text="hello")])
    async with connect() as live:
        for _ in range(2):
            await live.watch("one")
            assert (await live.next("series"))["patches"][0]["start"] == 0
            assert len((await live.next("log"))["lines"]) == 1


async def test_a_run_without_curves_is_answered_too(connect: Connect, store: Store) -> None:
    """The first answer to a watch is a series message, so that a browser can tell waiting from nothing to see."""
    store.create_run(make_run("one"))
    async with connect() as live:
        await live.watch("one")
        assert (await live.next("series"))["patches"] == []


async def test_a_long_curve_arrives_bounded_with_its_spike(connect: Connect, store: Store) -> None:
    """A curve of 300,000 points costs a few thousand on the wire, the spike and the NaN among them."""
    values = [0.0] * 300_000
    values[123_456], values[200_000] = 1e6, math.nan
    store.create_run(make_run("one"))
    add_curve(store, "one", "loss", values)
    async with connect() as live:
        await live.watch("one")
        (patch,) = (await live.next("series"))["patches"]
    assert len(patch["values"]) <= 4_000
    assert 1e6 in patch["values"]
    assert "NaN" in patch["values"]


async def test_many_curves_arrive_in_small_messages(connect: Connect, store: Store) -> None:
    """A page draws between two of them."""
    store.create_run(make_run("one"))
    for number in range(40):
        add_curve(store, "one", f"metric{number}", [0.5] * 1_000)
    names, messages = set(), 0
    async with connect() as live:
        await live.watch("one")
        while len(names) < 40:
            patches = (await live.next("series"))["patches"]
            assert sum(len(patch["batches"]) for patch in patches) <= 10_000
            names |= {patch["name"] for patch in patches}
            messages += 1
    assert messages == 4


async def test_nonsense_is_ignored_and_the_connection_stays(connect: Connect, store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Messages that make no sense are logged in a line; the next sensible one is served."""
    store.create_run(make_run("one"))
    async with connect() as live:
        await live.next("runs")
        for message in (
            "no json",
            b"\xff\xfe",
            "[" * 4_000,
            "x" * 10_000,
            [1],
            {"kind": "dance"},
            {"kind": "watch"},
            {"kind": "watch", "run_id": 5},
            {"kind": "watch", "run_id": "../../etc/passwd"},
            {"kind": "watch", "run_id": ["one"]},
        ):
            await live.say(message)
        await live.watch("one")
        await live.next("series")
    assert sum("ignored a message" in record.message for record in caplog.records) == 10


async def test_a_store_that_breaks_does_not_end_the_connection(
    connect: Connect, home: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the history cannot be read, browsers and the log get the reason once, and the runs as soon as it can be read."""
    monkeypatch.setattr("detjupyter.server.retrying.FIRST_PAUSE_S", 0.1)
    home.write_text("a file where the directory should be")
    async with connect() as live, connect() as late:
        message = await live.next("history_watched")
        assert message["run_id"] is None
        assert str(home) in message["failure"]["message"]
        await live.none_of("history_watched", for_s=2.5)
        assert await late.next("history_watched") == message
        home.unlink()
        for one in (live, late):
            assert (await one.next("runs"))["runs"] == []
            assert await one.next("history_watched") == {**message, "failure": None}
    complaints = [record for record in caplog.records if "cannot be watched" in record.message]
    assert len(complaints) == 1
    async with connect() as live:
        assert (await live.next("runs"))["runs"] == []
        await live.nothing(for_s=0.6)


async def test_a_run_that_cannot_be_read_costs_nothing_but_its_curves(
    connect: Connect, store: Store, home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who watches it gets the reason once, and later the whole of it; other browsers, and the list of runs, are not affected."""
    monkeypatch.setattr("detjupyter.server.retrying.FIRST_PAUSE_S", 0.1)
    for number, run_id in enumerate(("damaged", "sound")):
        store.create_run(make_run(run_id, state=State.RUNNING))
        add_curve(store, run_id, "loss", [float(number), 2.0])
    whole = damage(home, "damaged", b"no points")
    async with connect() as first, connect() as second:
        await first.watch("damaged")
        failed = await first.next("history_watched")
        assert failed["run_id"] == "damaged"
        assert failed["failure"]["hint"] == "The log of the Jupyter server says where."
        await second.watch("sound")
        assert len((await second.next("series"))["patches"][0]["values"]) == 2
        add_curve(store, "sound", "accuracy", [0.5])
        assert (await second.next("series"))["patches"][0]["name"] == "accuracy"
        store.create_run(make_run("third"))
        assert [run["id"] for run in (await first.next("runs"))["runs"]] == ["third"]
        damage(home, "damaged", whole)
        assert (await first.next("history_watched"))["failure"] is None
        assert (await first.next("series"))["patches"][0]["values"] == [0, 2]
        await second.none_of("history_watched", for_s=0.3)
    assert len([record for record in caplog.records if "the run damaged cannot be watched" in record.message]) == 1


def damage(home: Path, run_id: str, values: bytes) -> bytes:
    """Replace the values of a run's only piece of a curve, as a broken disk may do; return those before."""
    with closing(sqlite3.connect(home / "runs.sqlite")) as database, database:
        ((row, before),) = database.execute('SELECT rowid, "values" FROM series WHERE run_id = ?', (run_id,)).fetchall()
        database.execute('UPDATE series SET "values" = ? WHERE rowid = ?', (values, row))
    return bytes(before)


def test_the_pause_after_a_failure_grows_to_a_minute() -> None:
    """A store that is broken for hours is not read every few seconds."""
    pause = GrowingPause()
    assert [pause.begin() for _ in range(7)] == [2, 4, 8, 16, 32, 60, 60]
    assert not pause.is_over


async def test_nobody_connected_means_nobody_looks(connect: Connect, jp_serverapp: Any, store: Store) -> None:
    """The watcher works while a browser is connected, and at no other time."""
    watcher = jp_serverapp.web_app.settings["detjupyter"].watcher
    assert watcher.is_idle
    async with connect() as live:
        await live.next("runs")
        assert not watcher.is_idle
    await until(lambda: watcher.is_idle)


def test_a_browser_that_does_not_read_is_owed_one_record_per_run() -> None:
    """However often a run changes, a browser that is not ready is owed its newest record only."""
    client = Client(write=lambda _text: pytest.fail("not ready"))
    client.collect(())
    for number in range(1_000):
        client.owe(News((make_run("one", created_at=float(number)), make_run("two")), ("gone",), wrote=True))
    runs, removed = client.collect(())
    assert [run.id for run in runs.runs] == ["one", "two"]
    assert runs.runs[0].created_at == 999.0
    assert removed.run_ids == ("gone",)
    assert client.collect(()) == []


async def test_a_browser_that_does_not_read_holds_up_nobody_and_no_memory(connect: Connect, jp_serverapp: Any, store: Store) -> None:
    """A browser with a stuck connection gets no further message until it reads; the others get everything."""
    watcher = jp_serverapp.web_app.settings["detjupyter"].watcher
    stuck: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    written: list[str] = []

    def write(text: str) -> asyncio.Future[None]:
        written.append(text)
        return stuck

    store.create_run(make_run("one"))
    slow = Client(write)
    watcher.add(slow)
    watcher.watch(slow, "one")
    try:
        async with connect() as live:
            await live.next("runs")
            await live.watch("one")
            await live.next("series")
            before = len(written)
            for number in range(5):
                store.append_log("one", [LogLine(at=0.0, stream="stdout", text=str(number))])
                assert (await live.next("log"))["lines"][-1]["text"] == str(number)
            assert len(written) == before <= 2
            stuck.set_result(None)
            await until(lambda: len(written) > before)
        assert [line["text"] for line in json.loads(written[before])["lines"]] == ["0", "1", "2", "3", "4"]
    finally:
        watcher.remove(slow)
