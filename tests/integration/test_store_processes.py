"""The history under several real processes: at once, killed, forked."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from detjupyter.protocol.states import Group, State
from detjupyter.store import Store, open_store

# What every child starts with: the store, and a live run of its own named by its first argument.
PRELUDE = """
import os, socket, sys, threading, time
import numpy as np
from detjupyter.protocol.records import LogLine, RunRecord
from detjupyter.protocol.states import Group, State
from detjupyter.store import open_store

path, name = sys.argv[1:]
def make_run(run_id):
    return RunRecord(run_id, State.RUNNING, "m:T", "d", "/d", "pytorch", "cpu", 0, {}, {}, "", None, socket.gethostname(), os.getpid(),
                     time.time(), time.time(), None, 0, None, None)
def flush(store, number):
    with store.transaction():
        for metric in ("loss", "accuracy"):
            store.append_series(name, Group.TRAINING, metric, np.arange(number * 10 + 1, number * 10 + 11), np.full(10, float(number)))
        store.append_log(name, [LogLine(time.time(), "stdout", str(number))])
        store.update_run(name, state=State.RUNNING, session=None, best=None, batches_trained=number * 10 + 10, ended_at=None)
"""


def start(code: str, path: Path, name: str) -> subprocess.Popen[str]:
    """Start a child that runs ``code`` after the prelude, with pipes for its input and output."""
    command = [sys.executable, "-W", "error", "-c", PRELUDE + code, str(path), name]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str], said: str = "") -> str:
    """Say ``said`` to the child, wait for its good end and return what it printed."""
    out, err = process.communicate(said, timeout=100)
    assert process.returncode == 0, err
    return out


def lengths(store: Store, run_id: str) -> list[int]:
    """Return how many points each curve of the run has."""
    return [len(store.series(run_id, *key)[0]) for key in store.series_names(run_id)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where no history is yet."""
    return tmp_path / "home" / "runs.sqlite"


def test_four_writers_at_once_lose_nothing(path: Path) -> None:
    """Four processes, each with two threads that flush one run as fast as they can, while a fifth one reads."""
    code = """
store = open_store(path)
store.create_run(make_run(name))
print("ready", flush=True)
input()
def write(first):
    for number in range(first, 400, 2):
        flush(store, number)
threads = [threading.Thread(target=write, args=(first,)) for first in (0, 1)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
store.update_run(name, state=State.FINISHED, session=None, best=None, batches_trained=4000, ended_at=time.time())
store.close()
"""
    writers = {f"r{number}": start(code, path, f"r{number}") for number in range(4)}
    for writer in writers.values():
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    store = open_store(path)
    for writer in writers.values():
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    before = store.change_token()
    while any(run.state is State.RUNNING for run in store.runs()):
        store.change_token()
    for writer in writers.values():
        end(writer)
    assert store.change_token() != before
    for name in writers:
        batches = [batches for *_, batches, _ in store.series_since(name, 0)[1]]
        assert [sorted(curve.tolist()) for curve in batches] == [list(range(1, 4001))] * 2
        assert sorted(int(line.text) for line in store.log(name)[1]) == list(range(400))
        assert store.run(name).state is State.FINISHED
    store.close()


def test_a_writer_that_was_killed_shows_as_interrupted_with_all_it_had_flushed(path: Path) -> None:
    """SIGKILL in the middle of writing: every completed flush is in the file, and the interrupted one completely or not at all."""
    code = """
store = open_store(path)
store.create_run(make_run(name))
for number in range(10**9):
    flush(store, number)
    print(number, flush=True)
"""
    store = open_store(path)
    for attempt in range(5):
        name = f"r{attempt}"
        writer = start(code, path, name)
        assert writer.stdout is not None
        printed = [writer.stdout.readline() for _ in range(10 + attempt)]
        assert store.run(name).state is State.RUNNING
        writer.send_signal(signal.SIGKILL)
        printed += writer.stdout.readlines()
        writer.communicate()
        flushed = int(printed[-1])
        run = store.run(name)
        assert run.state is State.INTERRUPTED
        assert run.ended_at is not None
        assert run.created_at < run.ended_at <= run.updated_at
        assert run.batches_trained in (flushed * 10 + 10, flushed * 10 + 20)
        assert lengths(store, name) == [run.batches_trained] * 2
        assert len(store.log(name)[1]) == run.batches_trained // 10
        batches, values = store.series(name, Group.TRAINING, "loss")
        assert (np.diff(batches) == 1).all()
        assert (values == (batches - 1) // 10).all()
    store.close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("SELECT DISTINCT state FROM runs").fetchall() == [("interrupted",)]
    connection.close()


def test_processes_that_make_the_history_at_once_take_turns(tmp_path: Path) -> None:
    """Six children open a file that is not there yet in the same moment; each finds it whole."""
    code = """
import detjupyter.store.sql
print("ready", flush=True)
deadline = float(input())
time.sleep(max(0.0, deadline - time.time()))
store = open_store(path)
store.create_run(make_run(name))
store.close()
"""
    for attempt in range(3):
        path = tmp_path / str(attempt) / "runs.sqlite"
        children = [start(code, path, f"r{number}") for number in range(6)]
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        moment = f"{time.time() + 0.3}\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write(moment)
            child.stdin.flush()
        for child in children:
            end(child)
        store = open_store(path)
        assert len(store.runs()) == 6
        store.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_fork_does_not_break_the_parent(path: Path) -> None:
    """A forked worker writes with its own connections, and can leave a transaction of its parent without ending it."""
    code = """
store = open_store(path)
store.create_run(make_run(name))
flush(store, 0)
store.change_token()

def fork(work):
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return child

def join(child):
    assert os.waitpid(child, 0)[1] == 0

def write_and_close():
    assert store.run(name).batches_trained == 10
    store.create_run(make_run("child"))
    store.change_token()
    store.close()

join(fork(write_and_close))
flush(store, 1)
assert len(store.runs()) == 2

class Left(Exception):
    pass

try:
    with store.transaction():
        store.create_run(make_run("inside"))
        child = os.fork()
        if not child:
            raise Left
        join(child)
        store.create_run(make_run("inside too"))
except Left:
    os._exit(0 if len(store.runs()) == 2 else 1)
assert len(store.runs()) == 4

# Workers start and end while another thread of the parent writes; Python 3.12 warns of forks in a process with threads.
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
stop = threading.Event()
def write():
    number = 2
    while not stop.is_set():
        flush(store, number)
        number += 1
    print(number)
thread = threading.Thread(target=write)
thread.start()
for _ in range(20):
    join(fork(lambda: None))
stop.set()
thread.join()
store.close()
"""
    written = int(end(start(code, path, "parent")))
    store = open_store(path)
    assert {run.id for run in store.runs()} == {"parent", "child", "inside", "inside too"}
    assert lengths(store, "parent") == [written * 10] * 2
    store.close()


def test_a_reader_hears_of_another_processs_writes(path: Path) -> None:
    """The change token moves with a commit of another process, and the tail holds just what is new."""
    code = """
store = open_store(path)
store.create_run(make_run(name))
flush(store, 0)
print("ready", flush=True)
input()
flush(store, 1)
print("done", flush=True)
input()
store.close()
"""
    writer = start(code, path, "r")
    assert writer.stdout is not None
    assert writer.stdin is not None
    assert writer.stdout.readline() == "ready\n"
    store = open_store(path)
    token, (cursor, _) = store.change_token(), store.series_since("r", 0)
    changed_at = store.run("r").updated_at
    assert store.change_token() == token
    writer.stdin.write("\n")
    writer.stdin.flush()
    assert writer.stdout.readline() == "done\n"
    assert store.change_token() != token
    assert [batches.tolist() for *_, batches, _ in store.series_since("r", cursor)[1]] == [list(range(11, 21))] * 2
    assert [run.batches_trained for run in store.runs_updated_since(changed_at)] == [20]
    end(writer, "\n")
    assert [run.state for run in store.runs_updated_since(changed_at)] == [State.INTERRUPTED]
    store.close()


def test_threads_of_one_process_share_the_file(path: Path) -> None:
    """Every thread opens and closes its own store on the same path, and all data is kept."""
    open_store(path).close()
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(10):
                store = open_store(path)
                store.runs()
                store.change_token()
                store.close()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
