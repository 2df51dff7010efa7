"""The control channel of real kernels, ipykernel 7 and 6: what the sidebar's buttons do while a cell is busy."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.cells import Cells, kernel_in
from support.environments import add_old_ipykernel
from support.waiting import Busy, wait_until

from detjupyter.protocol.states import State
from detjupyter.store import open_store

SLOW = Path(__file__).parent / "trials/slow.py"
BUSY = {"time.sleep": "time.sleep(0.02)", "a Python loop": "sum(range(10_000))"}


@pytest.fixture(autouse=True)
def nothing_loaded(kernel: Cells) -> Iterator[None]:
    """Close what a test leaves."""
    yield
    kernel.ok("import detjupyter\nfor _ in detjupyter.sessions(): _.close()")


@pytest.fixture(scope="module", params=["ipykernel 7", "ipykernel 6"])
def kernel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cells]:
    """Start a kernel of this version, with the extension loaded."""
    home = tmp_path_factory.mktemp("home")
    name = add_old_ipykernel(home) if request.param == "ipykernel 6" else "python3"
    with kernel_in(tmp_path_factory.mktemp("work"), home, name=name) as cells:
        assert cells.value("__import__('ipykernel').__version__[0]") == f"'{request.param[-1]}'"
        cells.ok("%load_ext detjupyter")
        yield cells


@pytest.fixture
def training(kernel: Cells) -> Cells:
    """Load a trial with short batches and begin to train it."""
    kernel.ok(f"session = %det_load :SlowTrial --path {SLOW} --name slow --hparam batch_s=0.01")
    kernel.ok("%det_train --batches 100000")
    return kernel


def test_without_a_command_it_says_what_is_loaded(training: Cells) -> None:
    """Sessions and cards; nothing before the first load."""
    reply = training.control(None)
    (session,), (card,) = reply["sessions"], reply["cards"]
    assert (session["session_id"], session["state"], session["entrypoint"]) == ("slow", "running", ":SlowTrial")
    assert card["class_name"] == "SlowTrial"
    assert (reply["error"], reply["accepted"]) == (None, False)


@pytest.mark.parametrize("busy", BUSY)
def test_pause_and_stop_act_while_a_cell_is_busy(training: Cells, busy: str, tmp_path: Path) -> None:
    """Both are answered and in effect in the kernel, and in the history soon after, before the cell ends."""
    store = open_store(training.history)
    with Busy(tmp_path) as keeping_busy:
        cell = training.begin(keeping_busy.code(BUSY[busy]))
        training.until_started(cell)
        wait_until(lambda: keeping_busy.has_begun)
        for command, state in (("pause", State.PAUSED), ("resume", State.RUNNING), ("stop", State.STOPPED)):
            session, error = ended(training, {"kind": command})
            assert (error, session["state"]) == (None, state.value)
            wait_until(lambda: store.run(session["run_id"]).state is state, f"{state} in the history")  # noqa: B023
        assert not training.shown[cell].printed
        training.hear(0.1)
        assert training.manager.is_alive()
    store.close()
    assert training.finish(cell).error is None


def test_a_held_training_does_not_move(training: Cells) -> None:
    """After the answer to a pause no batch is trained."""
    first = ended(training, {"kind": "pause"})[0]["batches_trained"]
    time.sleep(0.2)
    assert training.control(None)["sessions"][-1]["batches_trained"] == first
    stepped, _ = ended(training, {"kind": "step", "batches": 2})
    assert stepped["batches_trained"] == first + 2


def test_a_command_that_takes_long_is_accepted_and_done_later(kernel: Cells) -> None:
    """The thread that also receives interrupts is not blocked."""
    kernel.ok(f"session = %det_load :SlowTrial --path {SLOW} --name slow --hparam batch_s=4")
    kernel.ok("%det_train --batches 1000")
    reply = kernel.control({"kind": "pause"})
    assert (reply["accepted"], reply["error"]) == (True, None)
    wait_until(lambda: kernel.control(None)["sessions"][-1]["state"] == "paused")
    assert {"ticket": reply["ticket"], "error": None, "hint": None} in kernel.control(None)["outcomes"]


def test_a_command_that_fails_after_it_was_accepted_says_so_later(training: Cells) -> None:
    """Later replies contain the error and the hint under the ticket of the first reply; each command has its own."""
    training.control({"kind": "pause"})
    step, other = (training.control({"kind": "step", "batches": 100_000}) for _ in range(2))
    assert step["accepted"]
    assert None not in (step["ticket"], other["ticket"])
    assert step["ticket"] != other["ticket"]
    assert step["ticket"] not in [one["ticket"] for one in step["outcomes"]]
    training.control({"kind": "stop"})
    wait_until(lambda: any(one["ticket"] == step["ticket"] for one in training.control(None)["outcomes"]))
    (outcome,) = [one for one in training.control(None)["outcomes"] if one["ticket"] == step["ticket"]]
    assert "stopped" in outcome["error"]
    assert "→" not in outcome["error"]


@pytest.mark.parametrize("busy", BUSY)
def test_a_listed_checkpoint_is_restored_while_a_cell_is_busy(training: Cells, busy: str, tmp_path: Path) -> None:
    """By its id; the batch count moves back in the kernel and in the history before the cell ends, and the run records the panel."""
    training.control({"kind": "pause"})
    training.ok("saved = session.checkpoint()")
    checkpoint_id, batches = str(training.value("saved.id")).strip("'"), int(training.value("saved.batches_trained"))
    training.ok("session.step(3)")
    training.control({"kind": "stop"})
    store = open_store(training.history)
    with Busy(tmp_path) as keeping_busy:
        cell = training.begin(keeping_busy.code(BUSY[busy]))
        training.until_started(cell)
        wait_until(lambda: keeping_busy.has_begun)
        reply = training.control({"kind": "restore", "checkpoint": checkpoint_id})
        assert reply["error"] is None
        wait_until(lambda: training.control(None)["sessions"][-1]["batches_trained"] == batches)
        run_id = reply["sessions"][-1]["run_id"]
        wait_until(lambda: store.run(run_id).batches_trained == batches, "the restore in the history")
        assert not training.shown[cell].printed
    store.close()
    assert training.finish(cell).error is None
    last = training.value("[(one['command'], one['origin'], one['arguments']) for one in session.run.commands][-1]")
    assert last.startswith("('restore', 'panel', {'path': ")
    assert last.endswith("'trust': False})")


def test_a_restore_that_is_impossible_is_answered(training: Cells) -> None:
    """While the session trains, of an id that the history does not list, of a path, and without an id."""
    training.ok("saved = session.checkpoint()")
    saved_id, path = (str(training.value(code)).strip("'") for code in ("saved.id", "saved.path"))
    training.control({"kind": "pause"})
    assert "Cannot restore a checkpoint while the session is paused" in error_of(training, {"kind": "restore", "checkpoint": saved_id})
    training.control({"kind": "stop"})
    for name in (path, "latest", "nothing"):
        assert "No checkpoint has the id" in error_of(training, {"kind": "restore", "checkpoint": name})
    assert "has no argument 'trust'" in error_of(training, {"kind": "restore", "checkpoint": saved_id, "trust": True})
    assert "needs the argument 'checkpoint'" in error_of(training, {"kind": "restore"})


def test_refusals_and_nonsense_are_answered(training: Cells) -> None:
    """A command that does not fit, that is none, or a session that is not there: each gets its reply with the error."""
    training.control({"kind": "stop"})
    assert "Nothing is training" in training.control({"kind": "pause"})["error"]
    assert "Unknown command 'explode'" in training.control({"kind": "explode"})["error"]
    assert "1 to 1,000,000 batches" in training.control({"kind": "step", "batches": 0})["error"]
    assert "There is no session 'other'" in training.control({"kind": "stop"}, session_id="other")["error"]
    assert training.control({"kind": "stop"}, session_id="slow")["sessions"][-1]["state"] == "stopped"
    assert training.control("stop")["error"]  # type: ignore[arg-type]


def error_of(cells: Cells, command: dict[str, Any]) -> str:
    """Send a command that fails, and return the error."""
    return str(ended(cells, command)[1])


def ended(cells: Cells, command: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Send a command; return the session and the error of the reply that says how it ended.

    That is the first reply, or, if the kernel has accepted the command and has not done it within a quarter of a second, a later one.
    """
    reply = cells.control(command)
    if not reply["accepted"]:
        return reply["sessions"][-1], reply["error"]
    ticket = reply["ticket"]
    replies: list[tuple[dict[str, Any], str | None]] = []

    def has_ended() -> bool:
        later = cells.control(None)
        replies[:] = [(later["sessions"][-1], one["error"]) for one in later["outcomes"] if one["ticket"] == ticket]
        return bool(replies)

    wait_until(has_ended)
    return replies[0]


def test_a_definition_that_was_deleted_does_not_silence_the_kernel(kernel: Cells, tmp_path: Path) -> None:
    """The card needs the files, the state does not."""
    (tmp_path / "gone.py").write_text(SLOW.read_text(encoding="utf-8"), encoding="utf-8")
    kernel.ok(f"import detjupyter; s = detjupyter.load(':SlowTrial', {str(tmp_path / 'gone.py')!r}, hparams={{'batch_s': 0.01}})")
    (tmp_path / "gone.py").unlink()
    reply = kernel.control(None)
    assert reply["sessions"][-1]["session_id"] == "gone"
    assert reply["error"] is None


def test_nothing_is_loaded_at_first(kernel: Cells) -> None:
    """Empty lists, and a command says what to do."""
    reply = kernel.control(None)
    assert (reply["sessions"], reply["cards"], reply["error"]) == ([], [], None)
    assert "Nothing is loaded" in kernel.control({"kind": "pause"})["error"]


def test_the_history_knows_the_kernel(training: Cells) -> None:
    """The run carries the id by which Jupyter knows the kernel, which its connection file is named for."""
    stem = Path(training.manager.connection_file).stem
    assert training.value("session.run.record.kernel_id") == repr(stem.removeprefix("kernel-"))
