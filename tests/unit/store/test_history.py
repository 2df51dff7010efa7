"""The history as a Python API: pages, filters and states of runs."""

from __future__ import annotations

import time

import pytest
from support.runs import finish, make_run

import detjupyter as dj
from detjupyter.errors import ArgumentError, RunNotFoundError
from detjupyter.protocol.states import State
from detjupyter.store import open_store


@pytest.fixture
def five() -> None:
    """Create five runs: finished, failed, finished, failed, running."""
    store = open_store()
    for number, state in enumerate((State.FINISHED, State.FAILED, State.FINISHED, State.FAILED, State.RUNNING)):
        store.create_run(make_run(f"r{number}", state=state, created_at=1000.0 + number, entrypoint=f"model_def:T{number % 2}"))
    store.close()


def ids(runs: list[dj.Run]) -> list[str]:
    """Return the ids of runs."""
    return [run.id for run in runs]


@pytest.mark.usefixtures("five")
def test_runs_come_in_pages_and_by_state_and_entrypoint() -> None:
    """Newest first; ``before`` is a run or an id."""
    assert ids(dj.runs()) == ids(dj.runs(None)) == ["r4", "r3", "r2", "r1", "r0"]
    page = dj.runs(2)
    assert ids(page) == ["r4", "r3"]
    assert ids(dj.runs(2, before=page[-1])) == ids(dj.runs(2, before="r3")) == ["r2", "r1"]
    assert ids(dj.runs(state="failed")) == ["r3", "r1"]
    assert ids(dj.runs(1, state="finished", entrypoint="model_def:T0", before="r2")) == ["r0"]


@pytest.mark.usefixtures("five")
def test_the_state_of_a_run_in_a_list_is_the_present_one() -> None:
    """Also after the run ended or was deleted, although the states of all runs in the list are read together."""
    runs = dj.runs()
    assert [run.state for run in runs] == ["running", "failed", "finished", "failed", "finished"]
    store = open_store()
    finish(store, "r4")
    assert runs[0].state == "finished"
    store.delete_run("r0")
    time.sleep(0.1)
    assert runs[1].state == "failed"
    with pytest.raises(RunNotFoundError):
        _ = runs[4].state


@pytest.mark.parametrize("wrong", [{"limit": -1}, {"limit": True}, {"limit": "5"}, {"limit": 2**70}, {"state": "done"}])
def test_a_wrong_argument_is_refused(wrong: dict[str, object]) -> None:
    """With its value."""
    with pytest.raises(ArgumentError, match=str(next(iter(wrong.values())))):
        dj.runs(**wrong)  # type: ignore[arg-type]


def test_a_run_that_the_history_lacks_can_be_shown() -> None:
    """While another process locks the history, a cell whose last line is a run does not fail."""
    store = open_store()
    assert "r9" in repr(dj.Run(store, "r9"))
    store.close()
