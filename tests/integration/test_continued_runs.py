"""A session that restores a checkpoint of another run shows that run's curves before its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.waiting import LIMIT_S, wait_until

import detjupyter as dj
from detjupyter.errors import StoreBusyError, TrialError
from detjupyter.protocol.states import Group
from detjupyter.session import ancestry

if TYPE_CHECKING:
    from support.definition import Definition

Shown = dict[str, tuple[list[float], list[float]]]


def shown(session: Any, group: Group = Group.TRAINING) -> Shown:
    """Return what a new view of the session shows: batches and values by name."""
    return {patch.name: (patch.batches.tolist(), patch.values.tolist()) for patch in session.channel.patches({}) if patch.group is group}


def wait_for(session: Any, batches: list[float]) -> None:
    """Wait until the training curve of the views has exactly these batches."""
    wait_until(lambda: shown(session).get("loss", ([],))[0] == batches)


def trained(line: Definition, name: str, batches: int) -> Any:
    """Return a session that was trained for some batches and then validated."""
    session = line.load(name=name)
    session.step(batches)
    session.validate()
    return session


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Hold the reading of curves until the event is set."""
    gate, add_curves = threading.Event(), ancestry.add_curves

    def wait(*arguments: Any) -> None:
        assert gate.wait(LIMIT_S)
        add_curves(*arguments)

    monkeypatch.setattr(ancestry, "add_curves", wait)
    yield gate
    gate.set()


class TestTheParent:
    """The run whose checkpoint was restored before the first batch."""

    def test_is_shown_up_to_the_checkpoint(self, line: Definition) -> None:
        """In training and validation, also in a view that was open before. The newest values are those of the checkpoint's batch."""
        first = trained(line, "first", 3)
        saved = first.checkpoint()
        first.step(4)
        losses = first.metrics("loss")[1].tolist()
        second = line.load(name="second")
        cursors: dict[Any, Any] = {}
        second.channel.patches(cursors)
        second.restore(saved)
        wait_for(second, [1, 2, 3])
        assert shown(second, Group.VALIDATION) == {"error": ([3], first.metrics("error", "validation")[1].tolist())}
        assert second.record().latest["training"]["loss"] == losses[2]
        second.step(2)
        assert shown(second)["loss"] == ([1, 2, 3, 4, 5], losses[:5])
        late = [patch for patch in second.channel.patches(cursors) if patch.name == "loss"]
        assert [patch.batches.tolist() for patch in late] == [[1, 2, 3, 4, 5]]
        assert second.metrics("loss")[0].tolist() == [4, 5]  # its record begins with its first batch

    def test_comes_late(self, line: Definition, slow: threading.Event) -> None:
        """A training that began, and one of its own checkpoints that was restored since, stay as they are."""
        saved = trained(line, "first", 6).checkpoint()
        second = line.load(name="second")
        second.restore(saved)
        second.step(2)
        own = second.checkpoint()
        second.step(2)
        second.restore(own)
        assert shown(second)["loss"][0] == [7, 8]
        slow.set()
        wait_for(second, [1, 2, 3, 4, 5, 6, 7, 8])
        second.step(1)
        assert shown(second)["loss"][0] == [1, 2, 3, 4, 5, 6, 7, 8, 9]

    @pytest.mark.parametrize("trains", [True, False], ids=["trained", "not trained"])
    def test_comes_late_after_a_restore_of_one_of_its_earlier_checkpoints(
        self, trains: bool, line: Definition, slow: threading.Event
    ) -> None:
        """The points that this restore discarded do not come back."""
        first = trained(line, "first", 2)
        early = first.checkpoint()
        first.step(4)
        first.validate()
        late = first.checkpoint()
        second = line.load(name="second")
        second.restore(late)
        second.step(1)
        second.restore(early)
        if trains:
            second.step(1)
        slow.set()
        wait_for(second, [1, 2, 3] if trains else [1, 2])
        assert shown(second, Group.VALIDATION)["error"][0] == [2]

    def test_comes_late_after_a_validation_of_the_same_weights(self, line: Definition, slow: threading.Event) -> None:
        """The later value of one batch counts."""
        first = trained(line, "first", 2)
        second = line.load(name="second")
        second.restore(first.checkpoint())
        error = second.validate()["error"]
        slow.set()
        wait_for(second, [1, 2])
        assert shown(second, Group.VALIDATION)["error"] == ([2], [error])

    def test_is_hidden_in_part_by_a_restore_of_an_earlier_checkpoint(self, line: Definition) -> None:
        """And shown again by one of a later checkpoint."""
        first = trained(line, "first", 2)
        early = first.checkpoint()
        first.step(4)
        late = first.checkpoint()
        second = line.load(name="second")
        second.restore(late)
        wait_for(second, [1, 2, 3, 4, 5, 6])
        second.step(1)
        own = second.checkpoint()
        second.restore(early)
        assert shown(second)["loss"][0] == [1, 2]
        second.restore(own)
        assert shown(second)["loss"][0] == [1, 2, 3, 4, 5, 6, 7]
        second.restore(early)
        second.step(1)
        assert shown(second)["loss"][0] == [1, 2, 3]

    def test_that_was_deleted_shows_nothing(self, line: Definition) -> None:
        """The run itself is trained and shown as ever."""
        first = trained(line, "first", 2)
        saved = first.checkpoint()
        second = line.load(name="second")
        first.close()
        store = second._keeper._open_store()
        store.delete_run(first.run.id)
        second.restore(saved.path)
        second.step(1)
        assert shown(second)["loss"][0] == [3]

    def test_of_a_history_that_can_not_be_read_is_named_in_the_log(self, line: Definition, monkeypatch: pytest.MonkeyPatch) -> None:
        """In one line, and the training is not touched."""
        saved = trained(line, "first", 2).checkpoint()

        def fail(*_: Any) -> None:
            raise StoreBusyError("The history is locked.")

        monkeypatch.setattr(ancestry, "add_curves", fail)
        second = line.load(name="second")
        second.restore(saved)
        second.step(1)
        wait_until(lambda: any("The history is locked." in line.text for line in second.channel.log(0)[1]))
        assert shown(second)["loss"][0] == [3]


class TestTheChoice:
    """Which run is continued is decided by the last restore before the first batch."""

    def test_another_run(self, line: Definition) -> None:
        """The curves of the first choice are gone, also those that the second does not have."""
        first = trained(line, "first", 5)
        saved = first.checkpoint()
        other = line.load(name="other", hparams={"lr": 0.2})
        other.step(2)
        chosen = other.checkpoint()
        second = line.load(name="second")
        cursors: dict[Any, Any] = {}
        second.restore(saved)
        wait_for(second, [1, 2, 3, 4, 5])
        second.channel.patches(cursors)
        second.restore(chosen)
        wait_for(second, [1, 2])
        assert shown(second, Group.VALIDATION) == {}
        assert {patch.name: patch.batches.tolist() for patch in second.channel.patches(cursors)} == {"loss": [1, 2], "error": []}
        assert shown(second)["loss"][1] == other.metrics("loss")[1].tolist()
        second.step(1)
        assert second.run.parent == (other.run.id, 2)

    def test_a_checkpoint_that_the_run_saved_since(self, line: Definition) -> None:
        """The run still continues the other one."""
        first = trained(line, "first", 2)
        second = line.load(name="second")
        second.restore(first.checkpoint())
        second.restore(second.checkpoint())
        second.step(1)
        assert second.run.parent == (first.run.id, 2)
        wait_for(second, [1, 2, 3])

    def test_a_checkpoint_that_the_run_saved_before(self, line: Definition) -> None:
        """The run continues none, and the other's curves are gone."""
        first = trained(line, "first", 2)
        second = line.load(name="second")
        own = second.checkpoint()
        second.restore(first.checkpoint())
        wait_for(second, [1, 2])
        second.restore(own)
        second.step(1)
        assert second.run.parent is None
        assert shown(second)["loss"][0] == [1]


def test_a_training_that_failed_in_its_first_batch_decides_nothing(line: Definition) -> None:
    """After the fix, a checkpoint of another run can be restored: the record and the views say the same."""
    first = trained(line, "first", 2)
    saved = first.checkpoint()
    line.edit("x, y = batch\n        loss", "x, y = batch\n        1 / 0\n        loss")
    second = line.load(name="second")
    with pytest.raises(TrialError):
        second.train(batches=1, wait=True)
    line.edit("1 / 0\n", "\n")
    second.reload()
    second.restore(saved)
    second.step(1)
    assert second.run.parent == (first.run.id, 2)
    wait_for(second, [1, 2, 3])


def test_the_ancestors_of_the_parent_are_shown_too(line: Definition) -> None:
    """The oldest first, each up to the batch at which the next one continued it."""
    losses: list[float] = []
    saved = None
    for name in ("first", "second", "third"):
        session = line.load(name=name)
        if saved is not None:
            session.restore(saved)
        session.step(2)
        saved = session.checkpoint()
        losses += session.metrics("loss")[1].tolist()
        session.step(3)
        session.close()
    last = line.load(name="last")
    last.restore(saved)
    wait_for(last, [1, 2, 3, 4, 5, 6])
    assert shown(last)["loss"][1] == losses


def test_a_history_that_is_written_again_has_the_runs_own_points_only(line: Definition) -> None:
    """What the views show of its parent is not written as its own."""
    first = trained(line, "first", 3)
    second = line.load(name="second")
    second.restore(first.checkpoint())
    wait_for(second, [1, 2, 3])
    second.step(2)
    second.validate()
    own = {(patch.group.value, patch.name): patch.batches.tolist() for patch in second._live.own_patches()}
    assert own["training", "loss"] == [4, 5]
    assert 5 in own["validation", "error"]


def test_a_long_parent_is_shown_with_fewer_points(line: Definition) -> None:
    """And the whole points of the run follow."""
    first = line.load(name="first")
    first.train(batches=6000, wait=True)
    second = line.load(name="second")
    second.restore(first.checkpoint())
    wait_until(lambda: bool(shown(second).get("loss")))
    second.step(3)
    batches = np.array(shown(second)["loss"][0])
    assert batches[0] == 1
    assert batches[-3:].tolist() == [6001, 6002, 6003]
    assert (np.diff(batches) > 0).all()
    assert len(batches) < 4500
    assert dj.run(second.run.id).metrics("loss")[0].tolist() == [6001, 6002, 6003]
