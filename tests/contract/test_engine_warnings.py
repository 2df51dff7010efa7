"""Warnings of detjupyter about a trial: in the state of the session while they hold, once in the log, and with the run for good."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest
from support.bench import Bench, ToyAdapter

from detjupyter.errors import CheckpointError, DetJupyterError
from detjupyter.framework.adapter import TrialAdapter
from detjupyter.framework.warning import warn
from detjupyter.protocol.events import Until


def test_a_warning_is_in_the_state_once_in_the_log_and_with_the_run(bench: Bench) -> None:
    """However many batches find the same fault."""
    bench.adapter.on_batch = lambda _: warn("The data is strange.")
    bench.session.train(batches=3, wait=True)
    assert bench.session.record().warnings == ("The data is strange.",)
    assert bench.log().count("The data is strange.") == 1
    assert bench.session.run is not None
    assert bench.session.run.warnings == ("The data is strange.",)
    assert bench.session.run.record.session is not None
    assert bench.session.run.record.session.warnings == ("The data is strange.",)
    assert "1 warning" in repr(bench.session)


def test_a_thread_of_the_trial_warns_about_the_trial(bench: Bench) -> None:
    """A data loader prefetches in one, for example; what the user's code logs as a warning is output like any other."""

    def batch(_: int) -> None:
        thread = threading.Thread(target=lambda: warn("From a thread."))
        thread.start()
        thread.join()
        logging.getLogger("mine").warning("The user's own.")

    bench.adapter.on_batch = batch
    bench.session.step()
    assert bench.session.record().warnings == ("From a thread.",)


def test_the_state_has_the_first_warnings_and_counts_the_others(bench: Bench) -> None:
    """A very long one without its middle."""
    bench.adapter.on_batch = lambda batch: warn(f"Warning {batch}. {'x' * 5000 if batch == 0 else ''}")
    bench.session.train(batches=9, wait=True)
    record = bench.session.record()
    assert [text[:10] for text in record.warnings] == [f"Warning {batch}." for batch in range(5)]
    assert record.more_warnings == 4
    assert len(record.warnings[0]) < 1100
    assert bench.session.run is not None
    assert len(bench.session.run.warnings) == 9


def test_the_next_training_ends_the_warnings_of_the_last_one(bench: Bench) -> None:
    """If it does not repeat the fault; the run keeps them. A pause ends none."""
    fault = ["No parameter changed."]
    bench.adapter.on_batch = lambda _: [warn(text, Until.TRAINING) for text in fault] and None
    bench.session.train(batches=2, wait=True)
    bench.session.train(batches=2, wait=True)
    assert bench.session.record().warnings == ("No parameter changed.",)
    fault.clear()
    bench.session.step(1)
    assert bench.session.record().warnings == ()
    fault.append("Another fault.")
    bench.session.step(1)
    bench.session.step(1)
    assert bench.session.record().warnings == ("Another fault.",)
    assert bench.session.run is not None
    assert bench.session.run.warnings == ("No parameter changed.", "Another fault.")


def test_new_code_ends_all_warnings_of_the_code_before(bench: Bench) -> None:
    """It may warn of the same fault again while it is loaded. A reload that fails changes nothing."""

    class Loaded(ToyAdapter):
        fails = False

        def adopt(self, other: TrialAdapter) -> None:
            warn("The state is old.", Until.RESTORE)
            warn("The length is wrong.")
            if self.fails:
                raise CheckpointError("The state does not fit.")
            super().adopt(other)

    class Failing(Loaded):
        fails = True

    bench.adapter.on_batch = lambda _: warn("The length is wrong.")
    bench.session.train(batches=2, wait=True)
    bench.reloaded = Failing
    with pytest.raises(CheckpointError):
        bench.session.reload()
    assert bench.session.record().warnings == ("The length is wrong.",)
    bench.reloaded = Loaded
    bench.session.reload()
    assert sorted(bench.session.record().warnings) == ["The length is wrong.", "The state is old."]
    bench.reloaded = ToyAdapter
    bench.session.reload()
    assert bench.session.record().warnings == ()


def test_a_restore_ends_the_warnings_of_the_restore_before(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """But those of the training and of the code still hold; a restore that fails ends none."""
    texts = ["A callback has no state."]

    def restore(_: ToyAdapter, directory: Path, *, trust: bool = False) -> None:
        for text in texts:
            warn(text, Until.RESTORE)
        if not (directory / "weight.json").exists():
            raise CheckpointError("It is incomplete.")

    monkeypatch.setattr(ToyAdapter, "restore", restore)
    bench.adapter.on_batch = lambda _: warn("The length is wrong.")
    bench.session.train(batches=2, wait=True)
    saved = bench.session.checkpoint()
    bench.session.restore(saved)
    assert bench.session.record().warnings == ("The length is wrong.", "A callback has no state.")
    with pytest.raises(DetJupyterError):
        bench.session.restore(bench.root / "nowhere")
    assert bench.session.record().warnings == ("The length is wrong.", "A callback has no state.")
    texts.clear()
    bench.session.restore(saved)
    assert bench.session.record().warnings == ("The length is wrong.",)


def test_a_metric_that_is_no_number_is_a_warning(bench: Bench) -> None:
    """Of each training: the next one can have corrected it, or the next code."""
    bench.adapter.validation_metrics = {"error": 1.0, "note": "text"}
    expected = ("These validation metrics are not numbers, and are not recorded: 'note' (text).",)
    bench.session.train(batches=1, wait=True)
    bench.session.train(batches=1, wait=True)
    assert bench.session.record().warnings == expected
    bench.adapter.validation_metrics = {"error": 1.0}
    bench.session.train(batches=1, wait=True)
    assert bench.session.record().warnings == ()
    assert bench.log().count(expected[0]) == 1


def test_what_cannot_be_sent_is_a_warning(bench: Bench, behind_bytes: bool) -> None:
    """A metric that is an object arrives only where nothing is serialized."""
    bench.adapter.validation_metrics = {"error": 1.0, "model": object()}
    bench.session.train(batches=1, wait=True)
    texts = bench.session.record().warnings
    assert any("object" in text and "not recorded" in text for text in texts)
    assert len(texts) == (2 if behind_bytes else 1)


def test_a_checkpoint_that_the_training_could_not_write_is_a_warning(bench: Bench) -> None:
    """The training continues without it."""

    def fail(_: Path) -> None:
        raise OSError(28, "No space left on device")

    bench.adapter.needs_driver = True
    bench.adapter.on_save = fail
    bench.session.train(batches=4, wait=True)
    texts = bench.session.record().warnings
    assert texts
    assert all("No space left on device" in text for text in texts)
    bench.adapter.on_save = lambda _: None
    bench.session.train(batches=1, wait=True)
    assert bench.session.record().warnings == ()


def test_outside_of_a_trial_a_warning_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A script that builds its own trial, for example, has no session yet."""
    warn("There is no session.")
    assert [(one.name, one.getMessage()) for one in caplog.records] == [("detjupyter", "There is no session.")]
