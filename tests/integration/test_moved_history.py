"""If the history is deleted, moved or replaced during a training, the run is saved again and the log says so correctly."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from support.bench import LIMIT_S, LONG, Bench

from detjupyter.definition.config import Config
from detjupyter.protocol.events import Checkpointed, Logged, MetricsReported
from detjupyter.protocol.records import CheckpointRecord, LogLine, RunRecord, SessionRecord
from detjupyter.protocol.states import Group, State
from detjupyter.session.recorder import Recorder
from detjupyter.store import Store, open_store
from detjupyter.store.base import SeriesPoints

SAVED = "The history file was deleted, moved or replaced. The run is saved in a new file; "
READ = """
import json, sys
from detjupyter.store import open_store
store = open_store(sys.argv[1])
print(json.dumps([[run.id, run.state.value, len(store.series(run.id, *store.series_names(run.id)[0])[0])] for run in store.runs()]))
store.close()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the history is."""
    return tmp_path / "home" / "runs.sqlite"


@pytest.fixture
def bench(tmp_path: Path, path: Path) -> Iterator[Bench]:
    """Make a session on a toy trial whose history is a real file."""
    root = tmp_path / "toy"
    root.mkdir()
    (root / "toy.py").write_text("x = 1\n")
    bench = Bench(root, Config())
    bench.open_store = lambda: open_store(path)
    yield bench
    bench.adapter.gate.set()
    bench.session.close()


def seen_elsewhere(path: Path) -> list[list[object]]:
    """Return the id, state and number of points of every run as a new process reads them."""
    done = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    runs: list[list[object]] = json.loads(done.stdout)
    return runs


def delete_all(path: Path) -> None:
    """Delete the history's three files."""
    for one in path.parent.glob("runs.sqlite*"):
        one.unlink()


def move_main_file(path: Path) -> None:
    """Move the history's file and leave its companions."""
    path.rename(path.with_name("moved.sqlite"))


def replace_by_empty(path: Path) -> None:
    """Put another history in the place of this one."""
    other = path.with_name("other.sqlite")
    open_store(other).close()
    other.replace(path)


@pytest.mark.parametrize(
    "displace",
    [delete_all, move_main_file, replace_by_empty, lambda path: shutil.rmtree(path.parent)],
    ids=["files", "moved", "replaced", "home"],
)
class TestWhileASessionTrains:
    """Operations of the user on the files, and the files that exist afterwards."""

    def test_nothing_of_the_run_is_lost(self, bench: Bench, path: Path, displace: Callable[[Path], object]) -> None:
        """Not what was written before, nor what came later; another process reads it all, and the log says so."""
        session = bench.session
        session.train(batches=LONG)
        session.step(20)
        assert session._keeper.recorder.settle(LIMIT_S)
        displace(path)
        session.step(20)
        session.resume()
        session.stop()
        assert session._keeper.recorder.close(LIMIT_S)
        trained = session.batches_trained
        run_id = session.record().run_id
        assert seen_elsewhere(path) == [[run_id, "stopped", trained]]
        assert session.metrics("loss")[0].tolist() == list(range(1, trained + 1))
        session.at_batch(lambda _: None)
        assert [line for line in bench.log() if line.startswith("The history")] == [f"{SAVED}no data was lost."]

    def test_the_next_training_is_in_the_history(self, bench: Bench, path: Path, displace: Callable[[Path], object]) -> None:
        """A session that was idle when it happened notices when it trains again."""
        session = bench.session
        session.train(batches=5, wait=True)
        displace(path)
        session.train(batches=5, wait=True)
        assert session._keeper.recorder.close(LIMIT_S)
        assert seen_elsewhere(path) == [[session.record().run_id, "finished", 10]]

    def test_the_code_is_there_again(self, bench: Bench, path: Path, displace: Callable[[Path], object]) -> None:
        """With the run, and in the next checkpoint."""
        session = bench.session
        session.train(batches=5, wait=True)
        displace(path)
        session.train(batches=5, wait=True)
        saved = session.checkpoint()
        assert session._keeper.recorder.close(LIMIT_S)
        assert session.run is not None
        assert session.run.code["toy.py"] == b"x = 1\n"
        assert list(Path(saved.path).rglob("toy.py"))


def test_a_moved_history_can_be_opened_where_it_is(bench: Bench, path: Path) -> None:
    """The file that was moved alone holds what was written until then, and the runs of before."""
    store = open_store(path)
    store.create_run(_run("earlier"))
    store.append_series("earlier", Group.TRAINING, "loss", np.arange(1, 4), np.zeros(3))
    store.close()
    session = bench.session
    session.step(20)
    assert session._keeper.recorder.settle(LIMIT_S)
    move_main_file(path)
    session.step(5)
    assert session._keeper.recorder.settle(LIMIT_S)
    runs = {str(run[0]): run[2] for run in seen_elsewhere(path.with_name("moved.sqlite"))}
    assert runs == {"earlier": 3, session.record().run_id: 20}


def test_code_that_was_deleted_alone_is_in_the_next_checkpoint(bench: Bench, path: Path) -> None:
    """The session still has it."""
    bench.session.step(1)
    shutil.rmtree(path.parent / "code")
    saved = bench.session.checkpoint()
    assert list(Path(saved.path).rglob("toy.py"))
    assert bench.session.run is not None
    assert bench.session.run.code["toy.py"] == b"x = 1\n"


def test_two_sessions_save_both_their_runs(tmp_path: Path, path: Path) -> None:
    """Each copies its own out of the file that was deleted, whichever notices first."""
    said: list[str] = []
    recorders = {name: Recorder(lambda: _session(), said.append, name=name) for name in ("a", "b")}
    for name, recorder in recorders.items():
        recorder.begin(lambda: open_store(path), _run(name))
        recorder.add(_report(1, 10))
        assert recorder.settle(LIMIT_S)
    delete_all(path)
    for recorder in recorders.values():
        recorder.add(_report(11, 12))
        assert recorder.settle(LIMIT_S)
    assert sorted(map(str, seen_elsewhere(path))) == ["['a', 'running', 12]", "['b', 'running', 12]"]
    assert said == [f"{SAVED}no data was lost."] * 2
    _close(*recorders.values())


def test_an_older_copy_that_is_put_back_is_brought_up_to_date(path: Path) -> None:
    """A backup from the middle of the run holds part of it."""
    said: list[str] = []
    recorder = Recorder(_session, said.append, name="a")
    recorder.begin(lambda: open_store(path), _run("a"))
    recorder.add(_report(1, 10))
    assert recorder.settle(LIMIT_S)
    store = recorder.store
    assert store is not None
    backup = path.with_name("backup.sqlite")
    store._database.copy_log()  # type: ignore[attr-defined]
    shutil.copy(path, backup)
    recorder.add(_report(11, 20))
    assert recorder.settle(LIMIT_S)
    backup.replace(path)
    recorder.add(_report(21, 21))
    assert recorder.settle(LIMIT_S)
    assert seen_elsewhere(path) == [["a", "running", 21]]
    assert said == [f"{SAVED}no data was lost."]
    _close(recorder)


def test_a_file_that_only_changed_its_number_is_not_copied_onto_itself(path: Path) -> None:
    """Some file systems give a file another number now and then; the run is not copied onto itself."""
    said: list[str] = []
    recorder = Recorder(_session, said.append, name="a")
    recorder.begin(lambda: open_store(path), _run("a"))
    recorder.add(_report(1, 10))
    assert recorder.settle(LIMIT_S)
    store = recorder.store
    assert store is not None
    store._database._identity = (1, 2)  # type: ignore[attr-defined]
    recorder.add(_report(11, 12))
    assert recorder.settle(LIMIT_S)
    assert seen_elsewhere(path) == [["a", "running", 12]]
    assert store.counts("a").points == 12
    assert said == []
    _close(recorder)


def test_what_cannot_be_read_any_more_comes_from_memory_and_is_counted(path: Path, tmp_path: Path) -> None:
    """The old file was overwritten before it was deleted: the live curves are written, and the log says how much is missing."""
    said: list[str] = []
    moved: list[Store] = []
    thinned = np.array([1, 50, 100])

    def resupply() -> list[SeriesPoints]:
        return [SeriesPoints(Group.TRAINING, "loss", thinned, thinned * 1.0)]

    recorder = Recorder(_session, said.append, name="a", resupply=resupply, after_move=moved.append)
    recorder.begin(lambda: open_store(path), _run("a"))
    recorder.add(_report(1, 100))
    recorder.add(Logged((LogLine(0.0, "stdout", "gone"),)))
    kept, deleted = (CheckpointRecord(name, "a", 1, 1.0, str(tmp_path / name), 5) for name in ("kept", "deleted"))
    Path(kept.path).mkdir()
    recorder.add(Checkpointed(kept))
    recorder.add(Checkpointed(deleted))
    assert recorder.settle(LIMIT_S)
    for one in path.parent.glob("runs.sqlite*"):
        one.write_bytes(b"garbage" * 10_000)
    delete_all(path)
    recorder.add(_report(101, 102))
    assert recorder.close(LIMIT_S)
    assert recorder.store is not None
    assert recorder.store.series("a", Group.TRAINING, "loss")[0].tolist() == [1, 50, 100, 101, 102]
    assert [one.id for one in recorder.store.checkpoints("a")] == ["kept"]
    assert said[-1] == f"{SAVED}missing from it: 97 metric values, 1 log line, 2 events."
    assert moved == [recorder.store]
    _close(recorder)


def test_many_deletions_while_it_writes_lose_nothing(path: Path) -> None:
    """In the middle of flushes, again and again."""
    said: list[str] = []
    recorder = Recorder(_session, said.append, name="a")
    recorder.begin(lambda: open_store(path), _run("a"))
    assert recorder.settle(LIMIT_S)
    is_over = threading.Event()

    def flush() -> None:
        while not is_over.is_set():
            recorder.settle(LIMIT_S)

    thread = threading.Thread(target=flush, daemon=True)
    thread.start()
    for batch in range(1, 301):
        recorder.add(_report(batch, batch))
        if batch % 50 == 0:
            (delete_all if batch % 100 else move_main_file)(path)
            assert recorder.close(LIMIT_S), said
    is_over.set()
    thread.join(LIMIT_S)
    assert recorder.close(LIMIT_S)
    assert recorder.store is not None
    assert recorder.store.series_since("a", 0)[1][0][2].tolist() == list(range(1, 301))
    _close(recorder)


def _close(*recorders: Recorder) -> None:
    for recorder in recorders:
        assert recorder.close(LIMIT_S)
        assert recorder.store is not None
        recorder.store.close()


def _report(first: int, last: int) -> MetricsReported:
    batches = np.arange(first, last + 1, dtype=np.int64)
    return MetricsReported(batches, {"loss": batches.astype(np.float64)}, 0)


def _session() -> SessionRecord:
    return SessionRecord("s", "r", "m:T", "d", "/d", "toy", "toy", state=State.RUNNING)


def _run(run_id: str) -> RunRecord:
    import os
    import socket

    here = (socket.gethostname(), os.getpid())
    return RunRecord(run_id, State.RUNNING, "m:T", "d", "/d", "toy", "toy", 0, {}, {}, "", None, *here, 1.0, 1.0, None, 0, None, None)
