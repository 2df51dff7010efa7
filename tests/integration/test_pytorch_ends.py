"""A trial ends its own training: by a stop request, by invalid hyperparameters, or by a loss that is NaN or infinite."""

from __future__ import annotations

from concurrent.futures import wait as wait_for

import numpy as np
import pytest
from support.definition import Definition
from support.line_edits import prepare
from support.listening import listening
from support.trained import checkpoints, validations
from support.two_callbacks import noting
from support.waiting import LIMIT_S

from detjupyter.errors import TrialError
from detjupyter.protocol.commands import MakeCheckpoint, Pause, Validate

CALLBACK = """
class End(PyTorchCallback):
    ended = 0

    def on_trial_shutdown(self):
        self.ended += 1


"""


BUILD_CALLBACKS = """
    def build_callbacks(self):
        self.callback = End()
        return {"end": self.callback}

"""


class TestStopRequest:
    """``set_stop_requested``."""

    def test_a_stop_that_the_trial_asks_for_ends_in_order(self, line: Definition) -> None:
        """The training stops after the current batch, with a checkpoint; a new training continues from there."""
        line.edit('return {"loss": loss}', 'self.context.set_stop_requested(batch_idx == 4)\n        return {"loss": loss}')
        session = line.load()
        session.train(batches=100, wait=True)
        assert (session.state, session.batches_trained) == ("finished", 5)
        assert session.run is not None
        assert [checkpoint.batches_trained for checkpoint in session.run.checkpoints()] == [5]
        assert any("asked to stop" in entry.text for entry in session.run.log())
        session.train(batches=3, wait=True)
        assert session.batches_trained == 8

    def test_the_callbacks_hear_of_the_end_once(self, line: Definition) -> None:
        """When the session is closed."""
        line.edit("from detjupyter.pytorch import", "from detjupyter.pytorch import PyTorchCallback,")
        line.edit("class LineTrial", CALLBACK + "class LineTrial")
        line.edit("    def build_training_data_loader", BUILD_CALLBACKS + "    def build_training_data_loader")
        session = line.load()
        session.train(batches=2, wait=True)
        callback = session.trial.callback
        session.close()
        session.close()
        assert callback.ended == 1

    @pytest.mark.parametrize("moment", ["on_validation_end(self, metrics)", "on_training_workload_end(self, avg_metrics, batch_metrics)"])
    def test_a_callback_may_end_the_training(self, moment: str, line: Definition) -> None:
        """A stop request takes effect at each boundary: the due actions are done, and a checkpoint is saved if there is none."""
        listening(line).edit("MORE = None", f"def {moment}:\n        self.context.set_stop_requested(True)", "periods")
        session = line.load(config={"min_validation_period": {"batches": 3}, "scheduling_unit": 3, "checkpoint_policy": "none"})
        session.train(batches=20, wait=True)
        assert session.batches_trained == 3
        assert validations(session) == checkpoints(session) == [3]


class TestInvalidHyperparameters:
    """``InvalidHP``: the training is stopped, not failed, and the log has the reason."""

    def test_hyperparameters_that_make_no_sense_end_it_in_order(self, line: Definition) -> None:
        """It is stopped, not failed, and what was trained is saved."""
        line.edit("import torch\n", "import torch\nimport determined as det\n")
        line.edit(
            'return {"loss": loss}', 'if batch_idx == 4:\n            raise det.InvalidHP("lr is too large")\n        return {"loss": loss}'
        )
        session = line.load()
        session.train(batches=100, wait=True)
        assert (session.state, session.batches_trained) == ("stopped", 4)
        assert session.run is not None
        assert any("lr is too large" in entry.text for entry in session.run.log())
        assert [checkpoint.batches_trained for checkpoint in session.run.checkpoints()] == [4]

    @pytest.mark.parametrize(
        ("moment", "batches"),
        [("on_training_start", 0), ("on_training_epoch_start", 0), ("on_training_epoch_end", 1), ("on_validation_end", 2)],
    )
    def test_hyperparameters_may_be_called_invalid_in_a_callback(self, line: Definition, moment: str, batches: int) -> None:
        """The training is stopped, not failed, with the reason in the log and a checkpoint of what was trained."""
        noting(line).edit("class LineTrial", "from determined import InvalidHP\n\n\nclass LineTrial")
        line.edit(
            '"b": notes.Note("b")}',
            f'"b": notes.Note("b"), "c": self.refusing()}}\n\n    def refusing(self):\n        class Refusing(notes.PyTorchCallback):\n'
            f'            def {moment}(self, *_):\n                raise InvalidHP(msg="lr is too large")\n        return Refusing()\n',
        )
        session = line.load()
        session.train(epochs=5, validate_every=2, wait=True)
        assert session.state == "stopped"
        assert session.run is not None
        assert any("lr is too large" in entry.text for entry in session.run.log())
        assert session.batches_trained >= batches
        assert max(checkpoint.batches_trained for checkpoint in session.run.checkpoints()) == session.batches_trained

    def test_hyperparameters_may_be_called_invalid_in_a_validation(self, line: Definition) -> None:
        """As in a batch; the exception needs no message."""
        line.edit("import torch\n", "import torch\nimport determined as det\n")
        line.edit('return {"error"', 'raise det.InvalidHP\n        return {"error"')
        session = line.load()
        session.train(batches=3, wait=True)
        assert (session.state, session.batches_trained) == ("stopped", 3)
        assert session.run is not None
        assert [checkpoint.batches_trained for checkpoint in session.run.checkpoints()] == [3]


def test_hyperparameters_that_the_data_calls_invalid_end_the_training_in_order(line: Definition) -> None:
    """As everywhere else in a trial: stopped, the reason in the log, nothing raised."""
    line.edit(
        "    def build_training_data_loader(self):\n",
        "    def build_training_data_loader(self):\n        raise det.InvalidHP('no such data')\n",
    )
    line.edit("import torch\n", "import torch\nimport determined as det\n")
    session = line.load()
    session.train(batches=3, wait=True)
    assert session.state == "stopped"
    assert any("no such data" in one.text for one in session.run.log())


class TestNaN:
    """A loss that is NaN."""

    def test_nan_is_shown_and_fatal_only_if_asked(self, line: Definition) -> None:
        """The error names the metric and the first batch."""
        line.edit('return {"loss": loss}', 'return {"loss": loss if batch_idx != 5 else loss * float("nan")}')
        session = line.load()
        session.train(batches=8, wait=True)
        assert np.isnan(session.metrics("loss")[1]).tolist() == [batch == 5 for batch in range(8)]
        other = line.load()
        with pytest.raises(TrialError, match="loss became NaN or infinite at batch 6"):
            other.train(batches=50, stop_at_nan=True, wait=True)
        assert other.state == "failed"


@pytest.mark.parametrize("how", ["pause", "validate", "checkpoint"])
def test_a_request_does_not_hide_a_nan(line: Definition, how: str) -> None:
    """Metrics reported before the answer are checked, too, and the first NaN is named."""
    prepare(line, "import threading\nREACHED, GO_ON = threading.Event(), threading.Event()")
    line.edit('return {"loss": loss}', 'return {"loss": loss * float("nan") if batch_idx == 5 else loss}')
    line.edit(
        "x, y = batch\n        loss", "x, y = batch\n        if batch_idx == 5:\n            REACHED.set(), GO_ON.wait(60)\n        loss"
    )
    session = line.load()
    session.step(5)
    names = session.trial.train_batch.__globals__
    session.train(batches=30, stop_at_nan=True)
    assert names["REACHED"].wait(LIMIT_S)
    asked = session.send({"pause": Pause, "validate": Validate, "checkpoint": MakeCheckpoint}[how]())
    names["GO_ON"].set()
    wait_for([asked], LIMIT_S)  # it may be refused: if the report was due at this batch, the training has ended by itself
    if session.state == "paused":
        session.resume()
    with pytest.raises(TrialError, match="loss became NaN or infinite at batch 6"):
        session.wait()
    assert session.batches_trained == 6
