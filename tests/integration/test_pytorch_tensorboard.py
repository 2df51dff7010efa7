"""What a trial's TensorBoard writer gets."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from support.contexts import context
from support.definition import Definition
from support.fitting import Fit

from detjupyter import pytorch
from detjupyter.pytorch import Batch
from detjupyter.pytorch.tensorboard import TorchWriter, log_averages, log_training, log_validation


class Writer:
    """A ``SummaryWriter`` that keeps what it is given."""

    def __init__(self, log_dir: str) -> None:
        self.log_dir = log_dir
        self.scalars: list[tuple[str, float, int]] = []
        self.closed = 0

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Keep it."""
        self.scalars.append((name, value, step))

    def close(self) -> None:
        """Count."""
        self.closed += 1


@pytest.fixture
def tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the package installed, as far as it matters here."""
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)


class TestTensorBoard:
    """Names, steps, and what is left out."""

    def test_training_metrics_have_a_value_for_each_batch(self) -> None:
        """The step is the number of batches trained."""
        writer = Writer("")
        log_training(writer, np.array([3, 4]), {"loss": np.array([0.5, 0.25])})
        assert writer.scalars == [("Determined/loss", 0.5, 3), ("Determined/loss", 0.25, 4)]

    def test_averages_have_one_value_per_reporting_period(self) -> None:
        """Of numbers only."""
        writer = Writer("")
        log_averages(writer, 10, {"f1": np.float32(0.5), "table": np.zeros((2, 2)), "text": "a"})
        assert writer.scalars == [("Determined/f1", 0.5, 10)]

    def test_validation_metrics_are_distinguished(self) -> None:
        """By ``val_``, unless they begin so."""
        writer = Writer("")
        metrics: Mapping[str, Any] = {"error": 1.0, "val_loss": 2.0, "validation_accuracy": np.array(3.0), "table": np.zeros(2)}
        log_validation(writer, 7, metrics)
        assert writer.scalars == [
            ("Determined/val_error", 1.0, 7),
            ("Determined/val_loss", 2.0, 7),
            ("Determined/validation_accuracy", 3.0, 7),
        ]

    @pytest.mark.usefixtures("tensorboard")
    def test_a_trial_with_a_writer_has_its_metrics_there_too(self, line: Definition) -> None:
        """Metrics are written after the trial has requested a writer, into a directory that exists."""
        line.edit("    def build_training", "        self.writer = context.get_tensorboard_writer()\n\n    def build_training")
        session = line.load()
        session.train(batches=3, wait=True)
        writer = session.trial.writer
        assert Path(writer.log_dir).is_dir()
        losses = session.metrics("loss")[1].tolist()
        assert writer.scalars[:3] == [("Determined/loss", loss, number) for number, loss in enumerate(losses, 1)]
        assert writer.scalars[3:] == [("Determined/val_error", session.metrics("error", "validation")[1][0], 3)]
        session.close()
        assert writer.closed == 1

    @pytest.mark.usefixtures("tensorboard")
    def test_a_trial_may_keep_its_writer_to_itself(self, line: Definition) -> None:
        """Its own calls still count."""
        line.edit(
            "    def build_training",
            "        context.set_enable_tensorboard_logging(False)\n"
            "        self.writer = context.get_tensorboard_writer()\n\n"
            "    def build_training",
        )
        session = line.load()
        session.train(batches=3, wait=True)
        assert session.trial.writer.scalars == []

    @pytest.mark.usefixtures("tensorboard")
    def test_the_writer_of_2020_is_made_when_it_is_used(self, tmp_path: Path) -> None:
        """``reset`` closes it; without a directory it uses its own."""
        own = TorchWriter(tmp_path)
        own.reset()
        own.add_scalar("a", 1.0, 2)
        assert own.writer.log_dir == str(tmp_path)
        assert own.writer.scalars == [("a", 1.0, 2)]
        own.reset()
        assert own.writer.closed == 1
        assert Path(TorchWriter().writer.log_dir).is_dir()

    def test_without_the_package_it_is_said_and_the_trial_trains(
        self, line: Definition, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Its output is dropped, under the names of every version; a trial without a writer gets no warning."""
        monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
        line.load().train(batches=1, wait=True)
        assert not caplog.records
        line.edit("    def build_training", "        self.logger = context.get_tensorboard_writer()\n\n    def build_training")
        drawn = "self.logger.writer.add_image('a', x, batch_idx)\n        self.logger.add_scalar('b', 1.0)\n        loss ="
        line.edit("loss =", drawn)
        session = line.load()
        session.train(batches=2, wait=True)
        trial = session.trial
        session.close()
        assert "tensorboard is not installed" in caplog.text
        with pytest.raises(AttributeError):
            trial.logger.sing()


class TestSwitch:
    """Who decides whether metrics go there."""

    @pytest.mark.parametrize("logs", [True, False])
    def test_init_says_whether_metrics_go_there(self, logs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        """`enable_tensorboard_logging` is on unless it is switched off."""
        written: list[str] = []

        class Writer:
            def __init__(self, log_dir: str) -> None:
                assert Path(log_dir).is_dir()

            def add_scalar(self, name: str, *_: Any) -> None:
                written.append(name)

            def close(self) -> None:
                pass

        module = ModuleType("torch.utils.tensorboard")
        module.SummaryWriter = Writer  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
        with pytorch.init(hparams={}, **({} if logs else {"enable_tensorboard_logging": False})) as context:
            context.get_tensorboard_writer()
            pytorch.Trainer(Fit(context), context).fit(max_length=Batch(2))
        assert set(written) == ({"Determined/loss", "Determined/first", "Determined/val_error"} if logs else set())


def test_what_reducers_compute_for_a_reporting_period_is_in_tensorboard(line: Definition, monkeypatch: pytest.MonkeyPatch) -> None:
    """The value is written once per reporting period, at its end."""
    written: list[Any] = []

    class Writer:
        def __init__(self, log_dir: str) -> None:
            del log_dir

        def add_scalar(self, *scalar: Any) -> None:
            written.append(scalar)

        def close(self) -> None:
            pass

    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    line.edit(
        "    def build_training",
        "        context.get_tensorboard_writer()\n"
        "        context.wrap_reducer(lambda _: 5.0, name='five', for_validation=False)\n\n"
        "    def build_training",
    )
    line.load(config={"scheduling_unit": 2}).train(batches=4, wait=True)
    assert [scalar for scalar in written if "five" in scalar[0]] == [("Determined/five", 5.0, 2), ("Determined/five", 5.0, 4)]


class TestDirectory:
    """Where they go."""

    def test_the_directory_of_tensorboard_is_a_path_that_stays(self) -> None:
        """`get_tensorboard_path` gives a `Path`, the same each time, without a writer."""
        mine = context()
        path = mine.get_tensorboard_path()
        assert isinstance(path, Path)
        assert path.is_dir()
        assert mine.get_tensorboard_path() == path
        assert list(path.iterdir()) == []
