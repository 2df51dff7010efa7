"""Real trials, trained: the same seed gives the same run, every epoch has every record, and the quickstart learns."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from support.definition import Definition
from support.trained import weights

from detjupyter.errors import TrialError

QUICKSTART = Path(__file__).parents[2] / "notebooks" / "quickstart"


class TestReproducibility:
    """The same seed, the same run."""

    @pytest.mark.parametrize("hparams", [{"shuffle": True, "dropout": 0.3}, {"shuffle": False}])
    def test_a_seed_makes_a_run_reproducible_to_the_bit(self, line: Definition, hparams: dict[str, Any]) -> None:
        """Losses and weights; another seed gives others."""

        def run(seed: int) -> tuple[list[float], list[list[float]]]:
            session = line.load(seed=seed, hparams=hparams, name="again")
            session.train(epochs=3, wait=True)
            return session.metrics("loss")[1].tolist(), weights(session)

        (losses, end), (again, end_again), (other, _) = run(3), run(3), run(4)
        assert losses == again
        assert end == end_again
        assert losses != other

    def test_epochs_go_through_all_the_data(self, line: Definition) -> None:
        """Each epoch contains each record once, even if the training stops and continues in the middle of an epoch."""
        line.edit(
            "x, y = batch\n        loss",
            "x, y = batch\n        self.__dict__.setdefault('seen', []).extend(x.flatten().tolist())\n        loss",
        )
        session = line.load()
        session.step(3)
        session.train(batches=4, wait=True)
        session.train(batches=3, wait=True)
        assert sorted(session.trial.seen) == sorted(torch.linspace(-1, 1, 40).tolist())

    def test_workers_of_a_loader_train_from_the_background_thread(self, line: Definition) -> None:
        """Two worker processes, forked from the training's thread, printing on the way; the training ends and so do they."""
        line.edit("batch_size=4,", "batch_size=4, num_workers=2,")
        line.edit("return DataLoader(TensorDataset(inputs, targets), batch_size=4", "return DataLoader(Loud(inputs, targets), batch_size=4")
        line.edit(
            "class LineTrial",
            "class Loud(TensorDataset):\n"
            "    def __getitem__(self, index):\n"
            "        print('record', index)\n"
            "        return super().__getitem__(index)\n\n\n"
            "class LineTrial",
        )
        session = line.load()
        session.train(epochs=2, wait=True)
        assert session.metrics("loss")[0].tolist() == list(range(1, 21))
        session.close()
        assert multiprocessing.active_children() == []


class TestTheQuickstart:
    """The definition that new users meet first."""

    def test_it_reaches_97_percent_within_five_epochs(self, tmp_path: Path) -> None:
        """On held-out digits."""
        pytest.importorskip("sklearn")
        import detjupyter as dj

        root = shutil.copytree(QUICKSTART, tmp_path / "quickstart")
        session = dj.load("model_def:DigitsTrial", path=root, device="cpu")
        session.train(epochs=5, wait=True)
        batches, accuracy = session.metrics("accuracy", "validation")
        assert len(batches) == 5
        assert accuracy.max() >= 0.97
        assert session.record().best.value == accuracy.max()


class TestLoaders:
    """Loaders that are not ``determined.pytorch.DataLoader``."""

    @pytest.mark.parametrize(("method", "call"), [("training", "step"), ("validation", "validate")])
    def test_a_loader_of_torchs_own_needs_the_opt_out(self, line: Definition, method: str, call: str) -> None:
        """The message names it; with it, any iterable will do."""
        size = {"training": 'batch_size=4, shuffle=self.context.get_hparams().get("shuffle", False)', "validation": "batch_size=20"}[method]
        line.edit(f"return DataLoader(TensorDataset(inputs, targets), {size})", "return [(inputs, targets)]")
        with pytest.raises(TrialError, match=r"detjupyter\.pytorch\.DataLoader") as raised:
            getattr(line.load(), call)()
        assert "disable_dataset_reproducibility_checks" in (raised.value.hint or "")
        line.edit("self.context = context", "self.context = context; context.experimental.disable_dataset_reproducibility_checks()")
        getattr(line.load(), call)()


def test_a_cell_that_captures_gets_one_batch_of_a_trials_prints_at_most(line: Definition) -> None:
    """Only the batch that was running when the cell began appears in the cell; all other output is in the run's log."""
    line.edit("        x, y = batch\n        loss", "        x, y = batch\n        print('batch', batch_idx)\n        loss")
    session = line.load()
    session.train(batches=2_000)
    with contextlib.redirect_stdout(io.StringIO()) as seen:
        until = min(session.batches_trained + 300, 2_000)
        while session.batches_trained < until:
            time.sleep(0.001)
    session.wait()
    assert len(seen.getvalue().splitlines()) <= 1
