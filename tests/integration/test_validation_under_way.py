"""Commands that arrive in the middle of a validation."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from support.definition import Definition
from support.line_edits import VALIDATION, prepare
from support.trained import weights
from support.waiting import LIMIT_S, wait_until

from detjupyter.errors import SessionBusyError
from detjupyter.protocol.commands import Validate


class TestDuringAValidation:
    """What is asked in the middle of a training's validation does it no harm."""

    COUNTER = """
class Counter(MetricReducer):
    def __init__(self):
        self.reset()

    def reset(self):
        self.count = 0

    def per_slot_reduce(self):
        return self.count

    def cross_slot_reduce(self, counts):
        return counts[0]
"""

    @pytest.fixture
    def slow(self, line: Definition) -> Definition:
        """Write a definition that validates in eight batches, which draw random numbers, count themselves, and wait for the test.

        After the first batch each waits until the test lets it go, or for a second, so that what the test asks in between is done.
        """
        evaluate = (
            "def evaluate_batch(self, batch):\n        if self.counter.count:\n            GO_ON.wait(1)\n"
            "        self.counter.count += 1\n        torch.rand(3), random.random()"
        )
        wraps = "self.context = context; self.counter = context.wrap_reducer(Counter(), name='count', for_training=False)"
        edits = (VALIDATION, "DataLoader(TensorDataset(inputs, targets), batch_size=5)"), ("self.context = context", wraps)
        noisy = ("x, y = batch\n        loss", "x, y = batch\n        x = x + torch.rand(1) + random.random()\n        loss")
        before = f"import threading\nGO_ON = threading.Event()\nGO_ON.set()\n{self.COUNTER}"
        return prepare(line, before, *edits, ("def evaluate_batch(self, batch):", evaluate), noisy)

    def begin(self, session: Any) -> threading.Event:
        """Train ten batches and stop in the middle of the validation after five; return a function that lets it continue."""
        go_on: threading.Event = session.trial.evaluate_batch.__globals__["GO_ON"]
        go_on.clear()
        session.train(batches=10, validate_every=5)
        wait_until(lambda: session.record().activity.value == "validating")
        assert session.batches_trained == 5
        return go_on

    @pytest.fixture
    def whole(self, slow: Definition) -> list[list[float]]:
        """Train without a disturbance."""
        session = slow.load(name="whole")
        session.train(batches=10, wait=True)
        return weights(session)

    @pytest.mark.parametrize("paused", [False, True])
    def test_a_validation_that_is_asked_for_is_the_one_under_way(self, slow: Definition, whole: Any, paused: bool) -> None:
        """The two are not mixed: reducers count eight batches each time, and there is only one validation."""
        session = slow.load()
        go_on = self.begin(session)
        if paused:
            session.pause()
        asked = session.send(Validate())
        go_on.set()
        assert asked.result(LIMIT_S)["count"] == 8
        if paused:
            assert (session.state, session.batches_trained) == ("paused", 5)
            session.resume()
        session.wait()
        batches, counts = session.metrics("count", "validation")
        assert (batches.tolist(), counts.tolist()) == ([5, 10], [8, 8])
        assert weights(session) == whole

    def test_a_checkpoint_goes_on_exactly(self, slow: Definition, whole: Any) -> None:
        """What the validation draws is not drawn for the training that is restored."""
        session, restored = slow.load(name="first"), slow.load(name="second")
        go_on = self.begin(session)
        saved = session.checkpoint()
        session.stop()
        go_on.set()
        restored.restore(saved.path)
        restored.train(batches=5, wait=True)
        assert weights(restored) == whole

    def test_a_reload_validates_with_the_new_code_from_the_beginning(self, slow: Definition, whole: Any) -> None:
        """The old code is released then, and could not even import."""
        session = slow.load()
        self.begin(session)
        session.reload()
        session.wait()
        batches, counts = session.metrics("count", "validation")
        assert (batches.tolist(), counts.tolist()) == ([5, 10], [8, 8])
        assert weights(session) == whole

    def test_nothing_is_restored(self, slow: Definition) -> None:
        """Half of the validation would be of other weights, and what is drawn afterwards of neither."""
        session = slow.load()
        session.step(3)
        saved = session.checkpoint()
        go_on: threading.Event = session.trial.evaluate_batch.__globals__["GO_ON"]
        go_on.clear()
        validation = session.send(Validate())
        wait_until(lambda: session.record().activity.value == "validating")
        with pytest.raises(SessionBusyError, match="during a validation"):
            session.restore(saved)
        go_on.set()
        validation.result(LIMIT_S)
        session.restore(saved)
