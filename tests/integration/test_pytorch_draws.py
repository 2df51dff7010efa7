"""A restored training draws what the uninterrupted one draws, wherever the definition keeps its generators."""

from __future__ import annotations

import random
import threading
from typing import Any

import numpy as np
import pytest
import torch
from support.definition import Definition
from support.inside import loaded_in
from support.line_edits import PLAIN, TRAINING, VALIDATION, prepare
from support.trained import weights
from support.waiting import LIMIT_S

from detjupyter.protocol.commands import MakeCheckpoint
from detjupyter.protocol.events import Checkpointed


def goes_on_exactly(definition: Definition, before: int, after: int) -> None:
    """Train at once, and in two halves with a checkpoint between them: losses and weights are the same."""
    whole, first, second = definition.load(name="whole"), definition.load(name="first"), definition.load(name="second")
    whole.train(batches=before + after, wait=True)
    first.train(batches=before, wait=True)
    second.restore(first.checkpoint().path)
    second.train(batches=after, wait=True)
    assert [*first.metrics("loss")[1], *second.metrics("loss")[1]] == list(whole.metrics("loss")[1])
    assert weights(second) == weights(whole)


class TestDraws:
    """The random numbers of a training continue, wherever the definition keeps their generators."""

    STREAM = """
class Stream(IterableDataset):
    def __init__(self):
        self.rng = np.random.default_rng(3)

    def __iter__(self):
        for index in self.rng.permutation(20):
            x = torch.tensor([float(self.rng.normal() + index + random.random())])
            yield x, 2 * x
"""

    def test_an_iterable_dataset_with_a_generator_of_its_own(self, line: Definition) -> None:
        """Its passes differ, and so does the one that a restored training is in."""
        loader = "torch.utils.data.DataLoader(Stream(), batch_size=4)"
        prepare(line, self.STREAM, (TRAINING, loader), ("self.context = context", f"self.context = context; {PLAIN}"))
        goes_on_exactly(line, 12, 6)

    def test_workers_that_stay_from_pass_to_pass(self, line: Definition) -> None:
        """Workers are restarted for every epoch: otherwise their draws of the previous epoch would have to be repeated."""
        loader = "torch.utils.data.DataLoader(Stream(), batch_size=4, num_workers=1, persistent_workers=True)"
        prepare(line, self.STREAM, (TRAINING, loader), ("self.context = context", f"self.context = context; {PLAIN}"))
        goes_on_exactly(line, 12, 6)

    @pytest.mark.parametrize("workers", [0, 1])
    def test_a_sampler_that_counts_its_passes(self, line: Definition, workers: int) -> None:
        """Many shuffle by the number of the pass; the count is part of the place in the data."""
        sampler = """
class Counting(Sampler):
    def __init__(self):
        self.passes = 0

    def __len__(self):
        return 40

    def __iter__(self):
        yield from np.random.default_rng(self.passes).permutation(40).tolist()
        self.passes += 1
"""
        loader = f"DataLoader(TensorDataset(inputs, targets), batch_size=4, sampler=Counting(), num_workers={workers})"
        goes_on_exactly(prepare(line, sampler, (TRAINING, loader)), 23, 9)

    def test_a_sampler_may_be_edited_beside_its_count(self, line: Definition) -> None:
        """A number that the sampler never changed is the new code's, and not the checkpoint's."""
        sampler = """
class First(Sampler):
    def __init__(self):
        self.passes, self.count = 0, 8

    def __len__(self):
        return self.count

    def __iter__(self):
        self.passes += 1
        return iter(range(self.count))
"""
        prepare(line, sampler, (TRAINING, "DataLoader(TensorDataset(inputs, targets), batch_size=4, sampler=First())"))
        session = line.load()
        session.step(5)
        line.edit("self.passes, self.count = 0, 8", "self.passes, self.count = 0, 12")
        session.reload()
        session.step(5)
        (sampler_now,) = session.at_batch(lambda _: [loaded_in(session).adapter._data._loader.batch_sampler.sampler])
        assert (sampler_now.count, sampler_now.passes) == (12, 4)

    def test_generators_that_the_trial_itself_keeps(self, line: Definition) -> None:
        """As numpy recommends, and torch for noise."""
        keeps = "self.context = context; self.rng, self.noise = np.random.default_rng(5), torch.Generator().manual_seed(1)"
        draws = "x, y = batch\n        x = x + float(self.rng.normal()) + torch.rand(1, generator=self.noise)\n        loss"
        prepare(line, "", ("self.context = context", keeps), ("x, y = batch\n        loss", draws))
        goes_on_exactly(line, 13, 9)

    def test_a_validation_on_the_same_dataset(self, line: Definition) -> None:
        """Its generator serves both parts of a split; how often the one is validated is nothing to the other."""
        dataset = """
class Noisy(Dataset):
    def __init__(self):
        self.rng = np.random.default_rng(1)

    def __len__(self):
        return 40

    def __getitem__(self, index):
        return inputs[index] + float(self.rng.normal()), targets[index]
"""
        keeps = "self.context = context; self.parts = torch.utils.data.random_split(Noisy(), [30, 10])"
        loaders = (TRAINING, "DataLoader(self.parts[0], batch_size=4)"), (VALIDATION, "DataLoader(self.parts[1], batch_size=4)")
        prepare(line, dataset, ("self.context = context", keeps), *loaders)
        often, seldom = line.load(name="often"), line.load(name="seldom")
        often.train(batches=20, validate_every=3, wait=True)
        seldom.train(batches=20, wait=True)
        assert weights(often) == weights(seldom)
        goes_on_exactly(line, 13, 9)

    def test_a_cell_that_draws_while_a_paused_session_keeps_a_checkpoint(self, line: Definition, monkeypatch: pytest.MonkeyPatch) -> None:
        """The store has its time, and the cell its own random states; neither session nor cell notices the other."""
        line.edit("x, y = batch\n        loss", "x, y = batch\n        x = x + torch.rand(1)\n        loss")
        whole, session = line.load(name="whole"), line.load(name="cut")
        whole.step(8)
        session.step(4)
        react, is_keeping, may_go_on = session._publisher._react, threading.Event(), threading.Event()

        def slow_react(event: Any) -> None:
            if isinstance(event, Checkpointed):
                is_keeping.set()
                may_go_on.wait(LIMIT_S)
            react(event)

        monkeypatch.setattr(session._publisher, "_react", slow_react)
        before = random.getstate(), torch.get_rng_state()
        saved = session.send(MakeCheckpoint())
        assert is_keeping.wait(LIMIT_S)
        assert random.getstate() == before[0]
        assert torch.equal(torch.get_rng_state(), before[1])
        torch.rand(7)
        may_go_on.set()
        saved.result(LIMIT_S)
        session.step(4)
        assert weights(session) == weights(whole)

    def test_two_trainings_at_the_same_time_leave_the_cells_draws_alone(self, line: Definition) -> None:
        """Whichever ends last: what a cell draws afterwards is what it would have drawn."""
        line.edit(
            "x, y = batch\n        loss",
            "x, y = batch\n        import time\n        time.sleep(0.002)\n        x = x + torch.rand(1)\n        loss",
        )
        before = random.getstate(), torch.get_rng_state()
        first, second = line.load(name="first"), line.load(name="second")
        for lengths in ((30, 60), (60, 30)):
            for session, batches in zip((first, second), lengths, strict=True):
                session.train(batches=batches)
            for session in (first, second):
                session.wait()
                session.at_batch(lambda _: None)
            assert random.getstate() == before[0]
            assert torch.equal(torch.get_rng_state(), before[1])

    @pytest.mark.parametrize("policy", ["all", "best"])
    def test_drawn_data_of_a_checkpoint_before_the_first_batch(self, line: Definition, policy: str) -> None:
        """An initial validation keeps one; restored in a new trial it builds the data that the first one had."""
        line.edit("TensorDataset(inputs, targets), batch_size=4", "TensorDataset(torch.rand(40, 1), targets), batch_size=4")
        config = {"perform_initial_validation": True, "checkpoint_policy": policy}
        first, second = line.load(name="first", config=config), line.load(name="second")
        first.train(batches=6, wait=True)
        assert first.run is not None
        (at_the_beginning,) = [one for one in first.run.checkpoints() if one.batches_trained == 0]
        second.restore(at_the_beginning)
        second.train(batches=6, wait=True)
        assert weights(second) == weights(first)


SPLIT = """self.order = torch.randperm(40)
        return DataLoader(TensorDataset(inputs[self.order], targets[self.order]), batch_size=4"""


NOISY = """class Noisy(TensorDataset):
    def __init__(self, *tensors):
        super().__init__(*tensors)
        self.rng = np.random.default_rng(5)

    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return x, y + float(self.rng.normal())


class LineTrial"""


class TestDataOfARestoredTrial:
    """Loaders are built after the state was loaded, and yet they are those of a trial that was never interrupted."""

    @pytest.mark.parametrize("batches", [0, 7, 10])
    @pytest.mark.parametrize("way", ["restored", "restored twice", "reloaded"])
    def test_a_random_split_is_the_same_one_again(self, line: Definition, way: str, batches: int) -> None:
        """What `build_training_data_loader` draws from torch's generator is drawn as the first time; so go the losses, with dropout."""
        line.edit("return DataLoader(TensorDataset(inputs, targets), batch_size=4", SPLIT)
        self.check(line, way, batches)

    @pytest.mark.parametrize("batches", [7, 10])
    @pytest.mark.parametrize("way", ["restored", "restored twice", "reloaded"])
    def test_a_generator_of_the_dataset_goes_on(self, line: Definition, way: str, batches: int) -> None:
        """In the middle of an epoch, and at its end."""
        line.edit("import torch\n", "import numpy as np\nimport torch\n")
        line.edit("class LineTrial", NOISY)
        line.edit(
            "return DataLoader(TensorDataset(inputs, targets), batch_size=4", "return DataLoader(Noisy(inputs, targets), batch_size=4"
        )
        self.check(line, way, batches)

    def check(self, line: Definition, way: str, batches: int) -> None:
        """Train 20 batches at once, and again with an interruption; compare the losses after it to the bit."""
        whole = line.load(hparams={"dropout": 0.3})
        whole.train(batches=20, wait=True)
        losses = whole.metrics("loss")[1]
        whole.close()
        session = line.load(hparams={"dropout": 0.3})
        if batches:
            session.train(batches=batches, wait=True)
        if way == "reloaded":
            line.edit("Fits a", "Fits one")
            session.reload()
        for _ in range(way.count("restored") + way.count("twice")):
            record = session.checkpoint()
            session.close()
            session = line.load(hparams={"dropout": 0.3})
            session.restore(record)
        session.train(batches=20 - batches, wait=True)
        np.testing.assert_array_equal(session.metrics("loss")[1][batches - 20 :], losses[batches:])
