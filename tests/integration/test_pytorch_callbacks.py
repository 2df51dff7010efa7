"""Callbacks: which are called, with which arguments, in which order, and what happens if one raises."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from detjupyter.errors import TrialError
from detjupyter.pytorch import ClipGradsL2Norm, ClipGradsL2Value, PyTorchCallback
from detjupyter.pytorch.callbacks import Callbacks

if TYPE_CHECKING:
    from support.definition import Definition

MOMENTS = [name for name in vars(PyTorchCallback) if name.startswith("on_")]

RECORDER = '''
from detjupyter.pytorch import PyTorchCallback

MOMENTS = [name for name in vars(PyTorchCallback) if name.startswith("on_") and name != "on_before_optimizer_step"]


class Recorder(PyTorchCallback):
    """Records its calls; raises where it is asked to."""

    def __init__(self):
        self.events = []
        self.fails_at = None
        self.kept = "at first"

    def state_dict(self):
        self.events.append(("state_dict",))
        return {"kept": self.kept}

    def load_state_dict(self, state_dict):
        self.events.append(("load_state_dict",))
        self.kept = state_dict["kept"]


def noted(moment):
    def note(self, *arguments, **named):
        self.events.append((moment, *arguments, *named.items()))
        if self.fails_at == moment:
            raise RuntimeError(f"failed {moment}")
    return note


for moment in MOMENTS:
    setattr(Recorder, moment, noted(moment))
'''


CHANGES = """

def save(self, checkpoint):
    checkpoint["note"] = "mine"


def load(self, checkpoint):
    checkpoint["callbacks"]["recorder"] = {"kept": checkpoint["note"]}


Recorder.on_checkpoint_save_start, Recorder.on_checkpoint_load_start = save, load
"""

CALLBACKS = """
    def build_callbacks(self):
        self.recorder = Recorder()
        return {"recorder": self.recorder}

    def train_batch"""


def recorded(line: Definition, more: str = "") -> Any:
    """Load the line with a callback that notes everything; two batches an epoch, and a checkpoint at the end only."""
    if not (line.root / "recorder.py").exists():
        line.write(recorder=RECORDER + more)
        line.edit("from detjupyter", "from recorder import Recorder\nfrom detjupyter")
        line.edit("batch_size=4", "batch_size=20")
        line.edit("\n    def train_batch", CALLBACKS)
        loader = "    def build_training_data_loader(self):\n"
        line.edit(loader, f"{loader}        self.recorder.events.append(('loader',))\n")
    return line.load(config={"checkpoint_policy": "none"})


def names(events: list[tuple[Any, ...]]) -> list[str]:
    """Return the moments without their arguments; a moment with two names has today's name."""
    old = {"on_train_step_start", "on_train_step_end", "on_validation_step_start", "on_validation_step_end", "on_checkpoint_end"}
    return [event[0] for event in events if event[0] not in old]


PERIOD = ["on_training_epoch_start", "on_training_epoch_end", "on_training_workload_end"]
VALIDATION = ["on_validation_start", "on_validation_epoch_start", "on_validation_epoch_end", "on_validation_end"]
CHECKPOINT = ["state_dict", "on_checkpoint_save_start", "on_checkpoint_write_end", "on_checkpoint_upload_end"]


class TestOrder:
    """The moments of a run."""

    def test_a_run_from_its_beginning_to_its_end(self, line: Definition) -> None:
        """Startup before the data is built, then epochs, validations, the checkpoint, and the end."""
        session = recorded(line)
        events = session.trial.recorder.events
        session.train(epochs=2, wait=True)
        session.close()
        calls = names(events)
        assert calls[:3] == ["on_trial_startup", "loader", "on_training_start"]
        assert calls[3:-1] == [*PERIOD, *VALIDATION, *PERIOD, *VALIDATION, *CHECKPOINT]
        assert calls[-1] == "on_trial_shutdown"

    def test_their_arguments(self, line: Definition) -> None:
        """Arguments are positional, except a reporting period's metrics and a checkpoint's id, whose names are part of the interface."""
        session = recorded(line)
        session.train(epochs=2, wait=True)
        calls: dict[str, list[tuple[Any, ...]]] = {}
        for moment, *rest in session.trial.recorder.events:
            calls.setdefault(moment, []).append(tuple(rest))
        assert calls["on_trial_startup"] == [(0, None)]
        assert calls["on_training_epoch_start"] == calls["on_training_epoch_end"] == [(0,), (1,)]
        assert [[name for name, _ in named] for named in calls["on_training_workload_end"]] == [["avg_metrics", "batch_metrics"]] * 2
        assert [name for ((name, _),) in calls["on_checkpoint_upload_end"]] == ["uuid"]
        assert calls["on_checkpoint_end"] == calls["on_checkpoint_write_end"]
        assert isinstance(calls["on_checkpoint_write_end"][0][0], str)

    def test_the_metrics_of_a_reporting_period(self, line: Definition) -> None:
        """Each batch's as arrays of no dimension; averages over batches, and how far the training is."""
        session = recorded(line)
        session.train(epochs=2, wait=True)
        periods = [dict(rest) for moment, *rest in session.trial.recorder.events if moment == "on_training_workload_end"]
        losses = session.metrics("loss")[1]
        for number, period in enumerate(periods):
            batches = [row["loss"] for row in period["batch_metrics"]]
            assert all(isinstance(loss, np.ndarray) and loss.shape == () for loss in batches)
            np.testing.assert_array_equal(np.array(batches, dtype=np.float64), losses[2 * number : 2 * number + 2])
            assert period["avg_metrics"] == {
                "loss": pytest.approx(float(np.mean(losses[2 * number : 2 * number + 2]))),
                "batches": 2 * number + 2,
                "epochs": number + 1,
            }

    def test_the_results_of_a_validation(self, line: Definition) -> None:
        """Each batch's result on the host, then the reduced metrics, which a callback may add to."""
        session = recorded(line, "\n\nRecorder.on_validation_end = lambda self, metrics: metrics.update(more=2.0)\n")
        metrics = session.validate()
        (outputs,) = [rest[0] for moment, *rest in session.trial.recorder.events if moment == "on_validation_epoch_end"]
        assert [type(row["error"]) for row in outputs] == [np.ndarray] * 2
        assert metrics == {"error": pytest.approx(float(np.mean([row["error"] for row in outputs]))), "more": 2.0}
        assert session.metrics("more", "validation")[1].tolist() == [2.0]

    def test_a_training_that_goes_on_in_mid_epoch_begins_no_epoch(self, line: Definition) -> None:
        """The start of an epoch is only called before its first batch."""
        session = recorded(line)
        session.train(batches=1, wait=True)
        del session.trial.recorder.events[:]
        session.train(batches=2, wait=True)
        epochs = [event for event in session.trial.recorder.events if "epoch" in event[0] and "validation" not in event[0]]
        assert epochs == [("on_training_epoch_end", 0), ("on_training_epoch_start", 1)]
        assert "on_training_start" not in names(session.trial.recorder.events)


class TestCheckpoints:
    """What callbacks keep, see and change of a checkpoint."""

    def test_a_state_comes_back(self, line: Definition) -> None:
        """The trial's startup names the checkpoint first, then the state is passed, then loaded."""
        session = recorded(line)
        session.train(batches=1, wait=True)
        session.at_batch(lambda trial: setattr(trial.recorder, "kept", "later"))
        record = session.checkpoint()
        session.close()
        other = recorded(line)
        other.restore(record)
        assert other.trial.recorder.kept == "later"
        calls = names(other.trial.recorder.events)
        assert [calls.index(name) for name in ("on_trial_startup", "on_checkpoint_load_start", "load_state_dict")] == sorted(
            calls.index(name) for name in ("on_trial_startup", "on_checkpoint_load_start", "load_state_dict")
        )
        assert other.trial.recorder.events[0] == ("on_trial_startup", 1, other.trial.recorder.events[0][2])
        assert other.trial.recorder.events[0][2] is not None

    def test_a_state_may_be_changed_on_its_way_to_the_disk_and_back(self, line: Definition) -> None:
        """What a callback puts into the dict is in the file, and what it changes there is loaded."""
        session = recorded(line, CHANGES)
        session.train(batches=1, wait=True)
        session.restore(session.checkpoint())
        assert session.trial.recorder.kept == "mine"

    def test_a_state_is_taken_before_the_files_are_shown(self, line: Definition) -> None:
        """What a callback does to itself when it sees the files is not in them."""
        session = recorded(line)
        session.train(batches=1, wait=True)
        calls = [event[0] for event in session.trial.recorder.events]
        assert calls.index("state_dict") < calls.index("on_checkpoint_end") < calls.index("on_checkpoint_write_end")

    def test_a_missing_state_is_warned_of(self, caplog: pytest.LogCaptureFixture) -> None:
        """Only where a callback would load one."""

        class Stateful(PyTorchCallback):
            def load_state_dict(self, state_dict: dict[str, Any]) -> None:
                raise AssertionError(f"there is none, and it got {state_dict}")

        with caplog.at_level(logging.WARNING, logger="detjupyter"):
            Callbacks({"plain": PyTorchCallback(), "stateful": Stateful()}).load_state_dict({"other": {}})
        assert [record.getMessage() for record in caplog.records] == [
            "The checkpoint has no state for the callback 'stateful'; the callback keeps its initial state."
        ]

    def test_both_names_of_a_moment_are_called_one_callback_after_the_other(self) -> None:
        """As in Determined: the second callback finds what the first one wrote."""
        calls: list[tuple[str, str]] = []

        class Writer(PyTorchCallback):
            def __init__(self, name: str) -> None:
                self.name = name

            def on_checkpoint_end(self, checkpoint_dir: str) -> None:
                calls.append((self.name, f"end {checkpoint_dir}"))

            def on_checkpoint_write_end(self, checkpoint_dir: str) -> None:
                calls.append((self.name, f"write_end {checkpoint_dir}"))

        Callbacks({"a": Writer("a"), "b": Writer("b")}).on_checkpoint_written("x")
        assert calls == [("a", "end x"), ("a", "write_end x"), ("b", "end x"), ("b", "write_end x")]


class TestFailures:
    """Callbacks that raise, and what is none."""

    @pytest.mark.parametrize(
        "moment",
        [
            "on_training_start",
            "on_training_epoch_start",
            "on_training_epoch_end",
            "on_training_workload_end",
            "on_validation_start",
            "on_validation_epoch_end",
            "on_validation_end",
            "on_checkpoint_save_start",
        ],
    )
    def test_one_that_raises_is_named_and_the_session_goes_on(self, line: Definition, moment: str) -> None:
        """The error shows the user's line; after the fix the training continues."""
        session = recorded(line)
        session.trial.recorder.fails_at = moment
        with pytest.raises(TrialError, match=f"RuntimeError: failed {moment}") as raised:
            session.train(epochs=1, wait=True)
        assert "recorder.py" in str(raised.value)
        session.trial.recorder.fails_at = None
        session.train(epochs=1, wait=True)
        assert session.state == "finished"

    def test_an_end_that_raises_keeps_no_one_from_ending(self) -> None:
        """The last callback is called first, all are called, and the first failure is raised."""
        calls = []

        class Closing(PyTorchCallback):
            def __init__(self, name: str) -> None:
                self.name = name

            def on_trial_shutdown(self) -> None:
                calls.append(self.name)
                if self.name != "a":
                    raise OSError(self.name)

        with pytest.raises(OSError, match=r"^c$"):
            Callbacks({name: Closing(name) for name in "abc"}).on_trial_shutdown()
        assert calls == ["c", "b", "a"]

    @pytest.mark.parametrize(
        ("returned", "words"),
        [
            ([PyTorchCallback()], "returned list"),
            ({"mine": object()}, "'mine' is a object"),
            ({"mine": PyTorchCallback}, "'mine' is the class PyTorchCallback"),
            ({1: PyTorchCallback()}, "The key 1 is not a string"),
            (dict.fromkeys(("a", "b"), ClipGradsL2Norm(1.0)), "'a' and 'b' are the same ClipGradsL2Norm"),
        ],
    )
    def test_what_are_no_callbacks_are_refused(self, returned: Any, words: str) -> None:
        """By what is wrong with them."""
        with pytest.raises(TrialError, match=words):
            Callbacks(returned)

    def test_the_error_about_a_returned_class_says_how_to_write_it(self, line: Definition) -> None:
        """When it is loaded."""
        line.edit("    def train_batch", "    def build_callbacks(self):\n        return {'mine': Mine}\n\n    def train_batch")
        line.edit(
            "class LineTrial",
            "from detjupyter.pytorch import PyTorchCallback\n\n\nclass Mine(PyTorchCallback):\n    pass\n\n\nclass LineTrial",
        )
        with pytest.raises(TrialError, match="the class Mine") as raised:
            line.load()
        assert raised.value.hint == "Write `Mine(…)`, with its arguments."


class TestListening:
    """Which callbacks are called."""

    def test_nobody_is_called_who_does_not_want_to_know(self) -> None:
        """A callback that overrides nothing is never called; None means no callbacks."""
        for callbacks in (Callbacks(None), Callbacks({}), Callbacks({"idle": PyTorchCallback()})):
            assert not any(callbacks.overrides(moment) for moment in MOMENTS)
            assert not callbacks.wants_report_periods

    def test_methods_of_a_class_its_base_and_the_object_count(self) -> None:
        """However the method got there."""

        class Base(PyTorchCallback):
            def on_training_start(self) -> None:
                pass

        class Derived(Base):
            pass

        derived = Derived()
        derived.on_validation_start = lambda: None  # type: ignore[method-assign]
        callbacks = Callbacks({"derived": derived})
        assert [moment for moment in MOMENTS if callbacks.overrides(moment)] == ["on_training_start", "on_validation_start"]
        assert "derived" in callbacks
        assert "base" not in callbacks

    def test_an_epoch_start_from_before_0_17_9_takes_no_argument(self, caplog: pytest.LogCaptureFixture) -> None:
        """It is called without, and a warning says so once."""
        calls: list[Any] = []

        class Old(PyTorchCallback):
            def on_training_epoch_start(self) -> None:  # type: ignore[override]
                calls.append("old")

        class New(PyTorchCallback):
            def on_training_epoch_start(self, epoch: int) -> None:  # type: ignore[override]
                calls.append(epoch)

        with caplog.at_level(logging.WARNING, logger="detjupyter"):
            callbacks = Callbacks({"old": Old(), "new": New()})
            callbacks.on_training_epoch_start(3)
            callbacks.on_training_epoch_start(4)
        assert calls == ["old", 3, "old", 4]
        assert len(caplog.records) == 1
        assert "Old.on_training_epoch_start() takes no epoch_idx" in caplog.text

    def test_arguments_are_positional(self) -> None:
        """Authors name parameters as they like."""
        calls: list[Any] = []

        class Renaming(PyTorchCallback):
            def on_trial_startup(self, first: int, uuid: str | None) -> None:  # type: ignore[override]
                calls.append((first, uuid))

            def on_train_step_end(self, number: int, found: dict[str, Any]) -> None:  # type: ignore[override]
                calls.append((number, found))

            def on_validation_step_end(self, found: dict[str, Any]) -> None:  # type: ignore[override]
                calls.append(found)

        callbacks = Callbacks({"renaming": Renaming()})
        callbacks.on_trial_startup(5, "id")
        callbacks.on_train_step_end(2, {"avg_metrics": {}})
        callbacks.on_validation_step_end({"error": 1.0})
        assert calls == [(5, "id"), (2, {"avg_metrics": {}}), {"error": 1.0}]
        assert callbacks.wants_report_periods


class TestClipping:
    """The two callbacks that Determined had ready."""

    def parameter(self) -> torch.nn.Parameter:
        """Return a parameter with a gradient of norm 5."""
        parameter = torch.nn.Parameter(torch.zeros(2))
        parameter.grad = torch.tensor([3.0, -4.0])
        return parameter

    def test_a_norm_is_scaled_down(self) -> None:
        """One that is small enough stays."""
        parameter = self.parameter()
        ClipGradsL2Norm(10.0).on_before_optimizer_step([parameter])
        assert parameter.grad is not None
        assert parameter.grad.tolist() == [3.0, -4.0]
        ClipGradsL2Norm(1.0).on_before_optimizer_step([parameter])
        torch.testing.assert_close(parameter.grad, torch.tensor([0.6, -0.8]))

    def test_values_are_cut(self) -> None:
        """On both sides."""
        parameter = self.parameter()
        ClipGradsL2Value(3.5).on_before_optimizer_step([parameter])
        assert parameter.grad is not None
        assert parameter.grad.tolist() == [3.0, -3.5]
