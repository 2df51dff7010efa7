"""A history that another process keeps locked, or that the disk does not take, holds no training up and loses nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from support.bench import LIMIT_S, LONG, Bench

from detjupyter.definition.config import Config
from detjupyter.errors import StoreBusyError
from detjupyter.protocol.commands import AwaitFiles
from detjupyter.protocol.states import State
from detjupyter.session import run_writer
from detjupyter.store import open_store

HOLD_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
"""


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock is waited for a moment only, so that the tests are short."""
    monkeypatch.setattr(run_writer, "LOCK_WAIT_S", 0.1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the history is."""
    return tmp_path / "home" / "runs.sqlite"


@pytest.fixture
def bench(tmp_path: Path, path: Path) -> Iterator[Bench]:
    """Make a session on a toy trial whose history is a real file."""
    root = tmp_path / "toy"
    root.mkdir()
    bench = Bench(root, Config())
    bench.open_store = lambda: open_store(path)
    yield bench
    bench.adapter.gate.set()
    bench.session.close()


class Lock:
    """A process that holds the lock of the history until the test ends it."""

    def __init__(self, path: Path) -> None:
        command = [sys.executable, "-c", HOLD_LOCK, str(path)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "locked\n"

    def release(self) -> None:
        """End the process."""
        self.process.send_signal(signal.SIGCONT)
        self.process.communicate("\n", timeout=100)
        assert self.process.returncode == 0


def wait_for_trouble(bench: Bench) -> None:
    """Wait until the recorder has noticed that the history cannot be written."""
    recorder = bench.session._keeper.recorder
    with recorder._changed:
        assert recorder._changed.wait_for(lambda: recorder.is_in_trouble, LIMIT_S)


def wait_for_batches(bench: Bench, more: int) -> None:
    """Wait until the session has trained that many batches more."""
    reached = threading.Event()
    target = bench.session.batches_trained + more

    def look() -> None:
        if bench.session.batches_trained >= target:
            reached.set()

    end = bench.session.channel.subscribe(look)
    assert reached.wait(LIMIT_S)
    end()


def said(bench: Bench) -> list[str]:
    """Return what the log says about saving."""
    return [line.splitlines()[0] for line in bench.log() if line.startswith("Saving")]


@pytest.mark.parametrize("is_suspended", [False, pytest.param(True, marks=pytest.mark.skipif(os.name != "posix", reason="no SIGSTOP"))])
def test_a_lock_of_another_process_holds_nothing_up(bench: Bench, path: Path, *, is_suspended: bool) -> None:
    """The training continues, every request is answered, and all of it is in the history when the lock is gone."""
    session = bench.session
    session.train(batches=LONG)
    assert session._keeper.recorder.settle(LIMIT_S)
    lock = Lock(path)
    if is_suspended:
        lock.process.send_signal(signal.SIGSTOP)
    wait_for_trouble(bench)
    wait_for_batches(bench, 100)
    session.pause()
    session.step(3)
    session.validate()
    saved = session.checkpoint()
    session.resume()
    wait_for_batches(bench, 100)
    session.stop()
    assert session._keeper.recorder.is_in_trouble
    trained = session.batches_trained
    store = open_store(path)
    assert store.counts(store.runs()[0].id).points < trained
    store.close()
    lock.release()
    assert session._keeper.recorder.close(LIMIT_S)
    assert session.metrics("loss")[0].tolist() == list(range(1, trained + 1))
    assert session.run is not None
    assert session.run.state == "stopped"
    assert [one.id for one in session.run.checkpoints()] == [saved.id]
    states = bench.states()
    assert states == ["running", "paused", "running", "paused", "running", "stopped"]
    session.at_batch(lambda _: None)
    assert said(bench) == [
        "Saving failed; training continues, and the data is kept in memory until saving works. "
        "The history is busy: another process has been writing to it for a long time.",
        "Saving works again; no data was lost.",
    ]


def test_automatic_checkpoints_are_written_while_it_is_locked(bench: Bench, path: Path) -> None:
    """Which of them are to be deleted is decided when the history can be written again."""
    session = bench.session
    session.step(1)
    assert session._keeper.recorder.settle(LIMIT_S)
    lock = Lock(path)
    for _ in range(3):
        session.train(batches=10, wait=True)  # ends with a checkpoint
    assert session.state == "finished"
    lock.release()
    assert session._keeper.recorder.close(LIMIT_S)
    assert session.run is not None
    written = session.run.checkpoints()
    assert [one.batches_trained for one in written] == [31]  # the newest, and the best of the toy
    assert all(one.automatic and Path(one.path).is_dir() for one in written)
    session.train(batches=10, wait=True)
    session._sender.ask(AwaitFiles())
    assert session._keeper.recorder.close(LIMIT_S)
    kept = session.run.checkpoints()
    assert kept[-1].batches_trained == 41
    assert len(kept) <= 2
    assert [Path(one.path).is_dir() for one in written] == [one in kept for one in written]
    assert session.metrics("loss")[0].tolist() == list(range(1, 42))


def test_a_lock_from_before_the_first_batch_is_waited_for(bench: Bench, path: Path) -> None:
    """The run is created when the lock is gone; it is not kept in memory only."""
    open_store(path).close()
    lock = Lock(path)
    bench.session.train(batches=5, wait=True)
    assert bench.session.state == "finished"
    lock.release()
    assert bench.session._keeper.recorder.close(LIMIT_S)
    store = open_store(path)
    assert [(run.id, run.batches_trained, run.state) for run in store.runs()] == [(bench.session.record().run_id, 5, State.FINISHED)]
    assert bench.session.metrics("loss")[0].tolist() == [1, 2, 3, 4, 5]
    store.close()


def test_the_run_is_waited_for(bench: Bench, path: Path) -> None:
    """A call that needs the run returns it when the lock is gone, also if the recorder has already waited for long between its attempts."""
    open_store(path).close()
    lock = Lock(path)
    bench.session.train(batches=5, wait=True)
    wait_for_trouble(bench)
    recorder = bench.session._keeper.recorder
    with recorder._changed:
        recorder._pace._next_attempt = time.monotonic() + LIMIT_S
    ready: Future[list[int]] = Future()
    thread = threading.Thread(target=lambda: ready.set_result(bench.session.metrics("loss")[0].tolist()))
    thread.start()
    thread.join(2)
    assert not ready.done()
    lock.release()
    assert ready.result(LIMIT_S) == [1, 2, 3, 4, 5]
    assert bench.session.run is not None
    assert bench.session.run.record.batches_trained == 5


def test_a_run_that_stays_away_is_an_error_that_says_why(bench: Bench, path: Path) -> None:
    """After a limit; the training is not affected, and the run is there later."""
    open_store(path).close()
    lock = Lock(path)
    bench.session.train(batches=5, wait=True)
    with pytest.raises(StoreBusyError, match="is not in the history yet"):
        bench.session._keeper.recorder.wait_for_run(0.2)
    lock.release()
    assert bench.session.run is not None
    assert bench.session.run.record.batches_trained == 5


FULL_DISK = """
import resource, signal, sys
import numpy as np
from detjupyter.protocol.events import Logged, MetricsReported
from detjupyter.protocol.records import LogLine, RunRecord, SessionRecord
from detjupyter.protocol.states import Group, State
from detjupyter.session.recorder import Recorder
from detjupyter.store import open_store
import json, pathlib, socket, os, time

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = pathlib.Path(sys.argv[1])
session = SessionRecord("s", "r", "m:T", "d", "/d", "toy", "toy", state=State.RUNNING)
run = RunRecord("r", State.RUNNING, "m:T", "d", "/d", "toy", "toy", 0, {}, {}, "", None, socket.gethostname(), os.getpid(),
                time.time(), time.time(), None, 0, None, None)
said = []
recorder = Recorder(lambda: session, said.append, name="full")
recorder.begin(lambda: open_store(path), run)
assert recorder.settle(20)

def report(first, count):
    batches = np.arange(first, first + count)
    recorder.add(MetricsReported(batches, {f"m{n}": batches * 1.0 for n in range(100)}, 0))
    recorder.add(Logged((LogLine(0.0, "stdout", str(first)),)))

report(1, 100)
assert recorder.settle(20)
limit = resource.getrlimit(resource.RLIMIT_FSIZE)
size = max(one.stat().st_size for one in path.parent.iterdir())
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 4096, limit[1]))
for number in range(5):
    report(101 + 100 * number, 100)
    recorder.settle(20)
in_trouble = recorder.is_in_trouble
resource.setrlimit(resource.RLIMIT_FSIZE, limit)
closed = recorder.close(20)
store = recorder.store
series = [store.series("r", Group.TRAINING, f"m{n}")[0].tolist() == list(range(1, 601)) for n in range(100)]
print(json.dumps([in_trouble, closed, all(series), store.counts("r"), said]))
store.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of file sizes")
def test_a_full_disk_loses_nothing(path: Path) -> None:
    """The files cannot grow for a while, as on a full disk: everything is kept in memory and written when there is room again."""
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    in_trouble, closed, is_whole, counts, lines = json.loads(done.stdout)
    assert in_trouble
    assert closed
    assert is_whole
    assert counts == [60_000, 6, 0]
    assert len(lines) == 2
    assert lines[1] == "Saving works again; no data was lost."


KILLED = """
import sys, time, pathlib
sys.path.append(sys.argv[2])
from support.bench import Bench, LONG
from detjupyter.definition.config import Config
from detjupyter.store import open_store
root = pathlib.Path(sys.argv[1]).parent.parent / "toy"
root.mkdir()
bench = Bench(root, Config())
bench.open_store = lambda: open_store(pathlib.Path(sys.argv[1]))
bench.session.train(batches=LONG)
bench.session.step(10)  # so that there is a report
bench.session.resume()
for _ in range(3):
    assert bench.session._keeper.recorder.settle(20)
    print(len(bench.session.metrics("loss")[0]), flush=True)
time.sleep(100)
"""


def test_a_kernel_that_is_killed_loses_only_what_was_not_flushed(path: Path) -> None:
    """SIGKILL while it trains: everything that was written before is there, without a gap, and the run is interrupted."""
    code = [sys.executable, "-c", KILLED, str(path), str(Path(__file__).parents[1])]
    process = subprocess.Popen(code, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    written = [process.stdout.readline() for _ in range(3)]
    process.kill()
    _, err = process.communicate()
    assert all(written), err
    store = open_store(path)
    (run,) = store.runs()
    assert run.state is State.INTERRUPTED
    batches, _ = store.series(run.id, *store.series_names(run.id)[0])
    assert len(batches) >= int(written[-1])
    assert batches.tolist() == list(range(1, len(batches) + 1))
    store.close()


ENDS = """
import sys, pathlib
sys.path.append(sys.argv[2])
from support.bench import Bench
from detjupyter.definition.config import Config
from detjupyter.store import open_store
root = pathlib.Path(sys.argv[1]).parent.parent / "toy"
root.mkdir()
bench = Bench(root, Config())
bench.open_store = lambda: open_store(pathlib.Path(sys.argv[1]))
bench.session.train(batches=50)
bench.session.wait(20)
"""


def test_a_process_that_ends_writes_what_is_left(path: Path) -> None:
    """Nothing waits for the recorder but the end of the process itself."""
    subprocess.run([sys.executable, "-c", ENDS, str(path), str(Path(__file__).parents[1])], check=True, timeout=100)
    store = open_store(path)
    (run,) = store.runs()
    assert run.state is State.FINISHED
    assert len(store.series(run.id, *store.series_names(run.id)[0])[0]) == 50
    store.close()
