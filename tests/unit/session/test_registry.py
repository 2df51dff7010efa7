"""Sessions by name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from support.finalizers import Finalizer, run_with

from detjupyter.errors import NoSessionError, SessionBusyError
from detjupyter.session.registry import Registry, registry

if TYPE_CHECKING:
    from support.bench import Bench


def test_nothing_is_loaded_at_first() -> None:
    """The error says how to load."""
    with pytest.raises(NoSessionError, match="Nothing is loaded") as raised:
        Registry().get(None)
    assert "dj.load(" in (raised.value.hint or "")


def test_the_newest_is_the_current_one(bench: Bench) -> None:
    """Loading again under the same name makes it the newest, and hands back the one it replaces."""
    mine = Registry()
    first, second = bench.session, type("Other", (), {"session_id": "other", "when_closed": lambda *_: None})()
    assert mine.add(first) is None
    assert mine.add(second) is None
    assert mine.get(None) is second
    assert mine.get("toy") is first
    again = type("Again", (), {"session_id": "toy", "when_closed": lambda *_: None})()
    assert mine.add(again) is first
    assert mine.all() == [second, again]


def test_an_unknown_name_lists_those_that_are_there(bench: Bench) -> None:
    """By their names."""
    with pytest.raises(NoSessionError, match="no session 'toi'") as raised:
        registry.get("toi")
    assert "toy" in (raised.value.hint or "")


def test_a_free_name_is_counted_up(bench: Bench) -> None:
    """A second session of one definition gets a number."""
    assert registry.free_name("new") == "new"
    assert registry.free_name("toy") == "toy-2"


@pytest.mark.parametrize("state", ["running", "paused"])
def test_a_training_under_way_is_not_replaced(bench: Bench, state: str) -> None:
    """The error says what to do."""
    bench.bring_to(state)
    with pytest.raises(SessionBusyError, match=f"'toy' is {state}") as raised:
        registry.require_replaceable("toy")
    assert "name=" in (raised.value.hint or "")


@pytest.mark.parametrize("state", ["ready", "finished", "stopped", "failed"])
def test_an_idle_one_is(bench: Bench, state: str) -> None:
    """So is an unused name."""
    bench.bring_to(state)
    registry.require_replaceable("toy")
    registry.require_replaceable("nobody")


def test_closing_a_session_forgets_it_and_not_its_successor(bench: Bench) -> None:
    """Only the session itself leaves the registry."""
    successor = type("Successor", (), {"session_id": "toy", "close": lambda *_: None, "when_closed": lambda *_: None})()
    registry.add(successor)
    bench.session.close()
    assert registry.get("toy") is successor
    registry.forget(successor)
    assert "toy" not in [session.session_id for session in registry.all()]


def test_a_session_gets_the_name_of_a_closed_one_that_the_user_still_has() -> None:
    """``session.close(); session = dj.load(…)``: during the load, the variable refers to the closed one."""
    mine = Registry()
    kind = type(
        "Idle", (), {"session_id": "toy", "definition": SimpleNamespace(path="toy"), "is_busy": False, "when_closed": lambda *_: None}
    )
    closed, session = kind(), kind()
    mine.add(closed, is_named=False)
    mine.forget(closed)
    assert mine.add(session, is_named=False) is None
    assert mine.get(None) is session
    del closed
    assert mine.all() == [session]


def test_a_finalizer_may_end_a_session_while_another_is_added() -> None:
    """It runs in the thread that adds, before any line: no thread waits for itself, and what was added stays."""
    mine = Registry()
    kind = type("Idle", (), {"when_closed": lambda *_: None})
    ended, added = kind(), kind()
    ended.session_id, added.session_id = "ended", "added"

    def end() -> None:
        mine.add(ended)
        mine.forget(ended)

    def add() -> None:
        assert mine.add(added) is None
        assert mine.get("added") is added
        mine.forget_script(added)

    run_with(Finalizer(end), add)
    assert mine.all() == [added]


def test_at_the_end_of_the_process_all_are_interrupted(bench: Bench) -> None:
    """A running training is recorded as interrupted, an idle session does not change."""
    bench.bring_to("running")
    registry.close_all()
    assert bench.store.runs()[0].state.value == "interrupted"
    assert registry.all() == []
