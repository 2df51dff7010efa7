"""Checkpoints that Determined has written since 0.12 are restored."""

from __future__ import annotations

import argparse
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.definition import LINE, Definition
from support.fitting import fitted
from support.layouts import (
    OLD,
    Write,
    as_lists,
    bits,
    foreign,
    saved_state,
    write_0_12_4,
    write_0_12_7,
    write_0_12_13,
    write_0_17,
    write_0_21,
)
from support.line_edits import TRAINED
from support.warned import warned

from detjupyter import pytorch
from detjupyter.errors import CheckpointError
from detjupyter.pytorch import Batch


class TestDeterminedsLayouts:
    """The weights of every version can be restored, and so can the other state that the version saved."""

    @pytest.mark.parametrize(
        ("write", "batches"), [(write_0_12_4, 0), (write_0_12_7, 0), (write_0_12_13, 0), (write_0_17, 5), (write_0_21, 5)]
    )
    @pytest.mark.parametrize(("entrypoint", "text"), [("model_def:LineTrial", LINE), ("model_def:OldTrial", OLD)])
    def test_every_version_is_restored(
        self, entrypoint: str, text: str, write: Write, batches: int, define: Callable[..., Definition], tmp_path: Path
    ) -> None:
        """Model, optimizer and scheduler are restored; counters continue if the version saved them. Nothing needs trust."""
        definition = define(model_def=text)
        hparams = {"lr": 0.125}
        session = definition.load(entrypoint, hparams=hparams)
        session.step(5)
        state = saved_state(session.checkpoint())
        directory = foreign(tmp_path)
        write(directory, state)
        other = definition.load(entrypoint, hparams=hparams, seed=7)
        other.restore(directory)
        assert other.batches_trained == batches
        mine, theirs = (saved_state(one.checkpoint()) for one in (session, other))
        for key in ("models_state_dict", "optimizers_state_dict", "lr_schedulers_state_dict"):
            assert bits(mine[key]) == bits(theirs[key])
        other.step(1)

    @pytest.mark.parametrize("place", ["state_dict.pth", "determined/state_dict.pth", "pedl/state_dict.pth", "checkpoint.pt"])
    def test_the_state_may_lie_in_several_places(self, place: str, line: Definition, tmp_path: Path) -> None:
        """As in the versions before."""
        session = line.load()
        session.step(2)
        file = foreign(tmp_path) / place
        file.parent.mkdir(exist_ok=True)
        torch.save(as_lists(saved_state(session.checkpoint())), file)
        other = line.load(seed=2)
        other.restore(tmp_path / "foreign")
        assert torch.equal(other.trial.model[0].weight, session.trial.model[0].weight)

    def test_one_goes_on_as_determined_would(self, line: Definition, tmp_path: Path) -> None:
        """With the random states and the place in the data that the number of batches tells: the same losses to the bit."""
        given = {"hparams": {"shuffle": True, "dropout": 0.3}}
        session = line.load(**given)
        session.step(13)
        write_0_21(foreign(tmp_path), saved_state(session.checkpoint()))
        session.step(9)
        other = line.load(**given)
        other.restore(tmp_path / "foreign")
        assert other.record().records_trained == 52
        other.step(9)
        assert other.metrics("loss")[1].tolist() == session.metrics("loss")[1][13:].tolist()

    def test_a_model_that_wants_the_prefix_gets_it(self, define: Callable[..., Definition], tmp_path: Path) -> None:
        """A definition may wrap its model itself."""
        wrapped = LINE.replace(
            "self.optimizer = ",
            "self.model = context.models[0] = nn.ModuleDict({'module': self.model})['module']\n        self.optimizer = ",
        )
        session = define(model_def=LINE).load()
        session.step(1)
        write_0_21(foreign(tmp_path), saved_state(session.checkpoint()))
        text = wrapped.replace("= nn.ModuleDict({'module': self.model})['module']", "= self.model")
        other = define("other", model_def=text).load(seed=2)
        container = torch.nn.ModuleDict({"module": other.trial.model})
        other.at_batch(lambda trial: trial.context.models.__setitem__(0, container))
        other.restore(tmp_path / "foreign")
        assert torch.equal(container["module"][0].weight, session.trial.model[0].weight)

    def test_two_models_do_not_come_from_one(self, line: Definition, tmp_path: Path) -> None:
        """The singular keys are for the only model."""
        session = line.load()
        session.step(1)
        write_0_12_4(foreign(tmp_path), saved_state(session.checkpoint()))
        line.edit("self.optimizer = ", "context.wrap_model(nn.Linear(1, 1))\n        self.optimizer = ")
        with pytest.raises(CheckpointError, match="The state has 1 models, the trial has 2"):
            line.load().restore(tmp_path / "foreign")

    def test_a_pickle_that_could_run_code_is_asked_about(self, line: Definition, tmp_path: Path) -> None:
        """Nothing of it is run without trust; with it, all of it is there."""
        session = line.load()
        session.step(3)
        state = {**as_lists(saved_state(session.checkpoint())), "callbacks": {"mine": argparse.Namespace(best=1)}}
        torch.save(state, foreign(tmp_path) / "state_dict.pth")
        other = line.load(seed=2)
        before = other.trial.model[0].weight.clone()
        with pytest.raises(CheckpointError, match="reading it could execute arbitrary code") as raised:
            other.restore(tmp_path / "foreign")
        assert "trust=True" in (raised.value.hint or "")
        assert torch.equal(other.trial.model[0].weight, before)
        other.restore(tmp_path / "foreign", trust=True)
        assert torch.equal(other.trial.model[0].weight, session.trial.model[0].weight)

    def test_the_pickles_beside_run_nothing(self, line: Definition, tmp_path: Path) -> None:
        """The counts in one that names a function are not read; the rest is restored."""
        session = line.load()
        session.step(1)
        directory = foreign(tmp_path)
        write_0_17(directory, saved_state(session.checkpoint()))
        marker = tmp_path / "run"

        class Hostile:
            def __reduce__(self) -> tuple[Any, ...]:
                return os.mkdir, (str(marker),)

        (directory / "workload_sequencer.pkl").write_bytes(pickle.dumps({"steps_completed": Hostile()}))
        session.restore(directory)
        assert not marker.exists()
        assert session.batches_trained == 0

    @pytest.mark.parametrize(("content", "words"), [(b"", "cannot be read"), (b"PK torn", "cannot be read"), (None, "lacks")])
    def test_one_that_is_no_state_is_refused(self, line: Definition, tmp_path: Path, content: bytes | None, words: str) -> None:
        """It says what is wrong with which file."""
        file = foreign(tmp_path) / "state_dict.pth"
        if content is None:
            torch.save({"models_state_dict": []}, file)
        else:
            file.write_bytes(content)
        with pytest.raises(CheckpointError, match=rf"state_dict\.pth {words}"):
            line.load().restore(tmp_path / "foreign")

    def test_shapes_that_differ_are_named(self, line: Definition) -> None:
        """Each tensor with both of its shapes, in an error that scripts catch as torch's RuntimeError."""
        session = line.load()
        session.step(1)
        saved = session.checkpoint()
        line.edit("nn.Linear(1, 8)", "nn.Linear(1, 9)")
        line.edit("nn.Linear(8, 1)", "nn.Linear(9, 1)")
        with pytest.raises(CheckpointError, match=r"0\.weight is \(8, 1\) in the state and \(9, 1\) in the model") as raised:
            line.load().restore(saved.path)
        assert isinstance(raised.value, RuntimeError)
        assert "2.weight is (1, 8) in the state and (1, 9) in the model" in str(raised.value)


class TestRestoring:
    """Checkpoints that Determined has written."""

    def test_of_several_states_the_first_place_counts(self, line: Definition, tmp_path: Path) -> None:
        """`state_dict.pth`, then `determined/`, then `pedl/`, then `checkpoint.pt`."""
        session = line.load()
        directory = foreign(tmp_path)
        places = ["state_dict.pth", "determined/state_dict.pth", "pedl/state_dict.pth", "checkpoint.pt"]
        weights = []
        for place in places:
            session.step(1)
            (directory / place).parent.mkdir(exist_ok=True)
            torch.save(saved_state(session.checkpoint()), directory / place)
            weights.append(session.trial.model[0].weight.detach().clone())
        for place, weight in zip(places, weights, strict=True):
            session.restore(directory)
            assert torch.equal(session.trial.model[0].weight, weight)
            (directory / place).unlink()

    def test_all_generators_go_on(self, line: Definition, tmp_path: Path) -> None:
        """Python's, numpy's and torch's, from the state of a version that kept numpy's as an array."""
        line.edit("import torch\n", "import random\nimport numpy\nimport torch\n")
        line.edit(TRAINED, 'return {"loss": loss, "a": random.random(), "b": numpy.random.rand(), "c": torch.rand(())}')
        session = line.load()
        session.step(3)
        write_0_21(foreign(tmp_path), saved_state(session.checkpoint()))
        session.step(2)
        other = line.load(seed=9)
        other.restore(tmp_path / "foreign")
        other.step(2)
        for name in "abc":
            assert other.metrics(name)[1].tolist() == session.metrics(name)[1][3:].tolist()

    @pytest.mark.parametrize(("write", "pickled"), [(write_0_17, "workload_sequencer.pkl"), (write_0_21, "trial_state.pkl")])
    def test_the_training_of_another_trial_goes_on_where_it_was(
        self, write: Callable[[Path, dict[str, Any]], None], pickled: str, line: Definition, tmp_path: Path
    ) -> None:
        """Determined restarts its counters for a checkpoint of another trial; here every restored training continues counting."""
        session = line.load()
        session.step(5)
        directory = foreign(tmp_path)
        write(directory, saved_state(session.checkpoint()))
        file = directory / pickled
        file.write_bytes(pickle.dumps({**pickle.loads(file.read_bytes()), "trial_id": 99}))
        other = line.load(seed=2)
        other.restore(directory)
        assert other.batches_trained == 5

    def test_a_fit_goes_on_from_one(self, tmp_path: Path) -> None:
        """With the counts, and with the data where it was."""
        first = fitted(max_length=Batch(13))
        write_0_21(foreign(tmp_path), saved_state(first.checkpoint()))
        whole = fitted(max_length=Batch(17), latest_checkpoint=first.checkpoint().path)
        session = fitted(max_length=Batch(17), latest_checkpoint=tmp_path / "foreign")
        assert list(session.metrics("loss")[0]) == [14, 15, 16, 17]
        assert np.array_equal(session.metrics("loss")[1], whole.metrics("loss")[1])

    @pytest.mark.parametrize(("saved", "loaded"), [(True, False), (False, True), (True, True), (False, False)])
    def test_a_scaler_on_one_side_only_is_warned_of(
        self, saved: bool, loaded: bool, line: Definition, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The rest is restored; where both have one, or none, there is nothing to say."""

        def load(scales: bool) -> Any:
            if scales:
                line.edit("self.model = ", "context.wrap_scaler(torch.amp.GradScaler('cpu'))\n        self.model = ")
            session = line.load(seed=int(scales))
            if scales:
                line.edit("context.wrap_scaler(torch.amp.GradScaler('cpu'))\n        ", "")
            return session

        session = load(saved)
        session.step(2)
        record = session.checkpoint()
        other = load(loaded)
        other.restore(record)
        assert torch.equal(other.trial.model[0].weight, session.trial.model[0].weight)
        assert len(warned(other, "scaler")) == (saved is not loaded)
        pytorch.load_trial_from_checkpoint_path(record.path)
        assert not caplog.records
