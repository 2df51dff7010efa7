"""The order in which several callbacks are called, and what they are called for where a training begins, resumes or fails."""

from __future__ import annotations

import pytest
from support.definition import Definition
from support.two_callbacks import calls_of, noting

from detjupyter.errors import TrialError


class TestOrder:
    """Which moment comes first, and which callback."""

    def test_the_first_validation_comes_after_the_start_of_the_training(self, line: Definition) -> None:
        """And before the first epoch; callbacks are built once, before the data."""
        session = noting(line).load(config={"perform_initial_validation": True})
        session.train(batches=1, wait=True)
        assert calls_of(session, "trial") == ["build_callbacks", "loader"]
        calls = calls_of(session, "a")
        moments = ["on_trial_startup", "on_training_start", "on_validation_start", "on_validation_end", "on_training_epoch_start"]
        assert [moment for moment in calls if moment in moments][:5] == moments

    def test_every_moment_is_called_in_the_order_of_names_and_the_end_backwards(self, line: Definition) -> None:
        """The validation callback with the name of 2020 is called for all callbacks before today's is called for any."""
        session = noting(line).load()
        session.train(epochs=1, wait=True)
        events = session.trial.events
        session.close()
        for moment in {moment for who, moment in events if who == "a"} - {"on_checkpoint_end", "on_checkpoint_write_end"}:
            names = [who for who, calls in events if calls == moment]
            order = ["b", "a"] if moment == "on_trial_shutdown" else ["a", "b"]
            assert names == order * (len(names) // 2), moment
        began = events.index(("a", "on_validation_step_start"))
        pairs = [
            ("a", "on_validation_step_start"),
            ("b", "on_validation_step_start"),
            ("a", "on_validation_start"),
            ("b", "on_validation_start"),
        ]
        assert events[began : began + 4] == pairs

    def test_the_whole_data_at_once_has_no_validation_epoch(self, line: Definition) -> None:
        """Only the start and the end of the validation."""
        noting(line).edit(
            "def evaluate_batch(self, batch):\n        x, y = batch",
            "def evaluate_full_dataset(self, data_loader):\n        x, y = next(iter(data_loader))",
        )
        session = line.load()
        session.validate()
        calls = [moment for moment in calls_of(session, "a") if moment.startswith("on_validation")]
        assert calls == ["on_validation_step_start", "on_validation_start", "on_validation_step_end", "on_validation_end"]

    def test_a_restored_trial_is_called_before_its_state_is_restored(self, line: Definition) -> None:
        """Startup, the state shown to all, then loaded by each, then the training; no epoch begins in the middle of one."""
        session = noting(line).load()
        session.train(batches=1, wait=True)
        record = session.checkpoint()
        session.close()
        other = line.load()
        other.restore(record)
        other.train(batches=1, wait=True)
        events = other.trial.events
        assert "on_training_epoch_start" not in calls_of(other, "a")
        assert "on_training_epoch_end" in calls_of(other, "a")
        assert events.index(("b", "on_trial_startup")) < events.index(("trial", "loader")) < events.index(("a", "on_training_start"))
        moments = ["on_trial_startup", "on_checkpoint_load_start", "load_state_dict", "on_training_start"]
        assert [event for event in events if event[1] in moments] == [(name, moment) for moment in moments for name in "ab"]

    def test_the_end_is_called_after_a_failure_too(self, line: Definition) -> None:
        """When the session is closed."""
        noting(line).edit('return {"loss": loss}', "raise RuntimeError('no luck')")
        session = line.load()
        with pytest.raises(TrialError, match="no luck"):
            session.train(batches=1, wait=True)
        events = session.trial.events
        session.close()
        assert events[-2:] == [("b", "on_trial_shutdown"), ("a", "on_trial_shutdown")]
