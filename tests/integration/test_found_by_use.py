"""What a person found who tried to break trainings: validations under way, generators in odd places, data that ends, logs of a kernel."""

from __future__ import annotations

import contextlib
import io
import logging
import random
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import torch

from detjupyter.errors import SessionBusyError, TrialError
from detjupyter.protocol.commands import MakeCheckpoint
from detjupyter.training.output import LogSink, captured

if TYPE_CHECKING:
    from integration.conftest import Definition

PLAIN = "context.experimental.disable_dataset_reproducibility_checks()"
TRAINING = 'DataLoader(TensorDataset(inputs, targets), batch_size=4, shuffle=self.context.get_hparams().get("shuffle", False))'
VALIDATION = "DataLoader(TensorDataset(inputs, targets), batch_size=20)"
IMPORTS = """
import random
import numpy as np
import torch.utils.data
from torch.utils.data import Dataset, IterableDataset, Sampler
from detjupyter.pytorch import MetricReducer


"""


def weights(session: Any) -> list[list[float]]:
    """Return the weights, to the bit."""
    return [parameter.detach().flatten().tolist() for parameter in session.trial.model.parameters()]


def prepare(line: Definition, before: str, *edits: tuple[str, str]) -> Definition:
    """Put ``before`` in front of the trial's class, and make the edits."""
    line.edit("class LineTrial", f"{IMPORTS}{before}\n\nclass LineTrial")
    for old, new in edits:
        line.edit(old, new)
    return line


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
    """What a training draws from goes on where it was, wherever the definition keeps it."""

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
        """They are begun anew for every pass: what they drew in the pass before would have to be drawn again."""
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
        (sampler_now,) = session.at_batch(lambda _: [session._loaded.adapter._data._loader.batch_sampler.sampler])
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
        keep, is_keeping, may_go_on = session._driver._keep_checkpoint, threading.Event(), threading.Event()

        def slow_keep(record: Any) -> Any:
            is_keeping.set()
            may_go_on.wait(10)
            return keep(record)

        monkeypatch.setattr(session._driver, "_keep_checkpoint", slow_keep)
        before = random.getstate(), torch.get_rng_state()
        saved = session.send(MakeCheckpoint())
        assert is_keeping.wait(10)
        assert random.getstate() == before[0]
        assert torch.equal(torch.get_rng_state(), before[1])
        torch.rand(7)
        may_go_on.set()
        saved.result(10)
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
        """Write a definition that validates in eight batches, which draw random numbers, and count themselves."""
        evaluate = (
            "def evaluate_batch(self, batch):\n        import time\n        time.sleep(0.03)\n"
            "        self.counter.count += 1\n        torch.rand(3), random.random()"
        )
        wraps = "self.context = context; self.counter = context.wrap_reducer(Counter(), name='count', for_training=False)"
        edits = (VALIDATION, "DataLoader(TensorDataset(inputs, targets), batch_size=5)"), ("self.context = context", wraps)
        noisy = ("x, y = batch\n        loss", "x, y = batch\n        x = x + torch.rand(1) + random.random()\n        loss")
        return prepare(line, self.COUNTER, *edits, ("def evaluate_batch(self, batch):", evaluate), noisy)

    def begin(self, session: Any) -> None:
        """Train ten batches and begin the validation after five."""
        session.train(batches=10, validate_every=5)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not (session.record().validation_done or 0):
            threading.Event().wait(0.005)
        assert session.batches_trained == 5

    @pytest.fixture
    def whole(self, slow: Definition) -> list[list[float]]:
        """Train without a disturbance."""
        session = slow.load(name="whole")
        session.train(batches=10, wait=True)
        return weights(session)

    @pytest.mark.parametrize("paused", [False, True])
    def test_a_validation_that_is_asked_for_is_the_one_under_way(self, slow: Definition, whole: Any, paused: bool) -> None:
        """They do not mix: reducers count eight batches each time, and nobody validates twice."""
        session = slow.load()
        self.begin(session)
        if paused:
            session.pause()
        assert session.validate()["count"] == 8
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
        self.begin(session)
        saved = session.checkpoint()
        session.stop()
        restored.restore(saved.path)
        restored.train(batches=5, wait=True)
        assert weights(restored) == whole

    def test_a_reload_validates_with_the_new_code_from_the_beginning(self, slow: Definition, whole: Any) -> None:
        """The old code is gone by then, and could not even import."""
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
        validating = threading.Thread(target=session.validate)
        validating.start()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and session.record().activity.value != "validating":
            threading.Event().wait(0.005)
        with pytest.raises(SessionBusyError, match="during a validation"):
            session.restore(saved)
        validating.join(20)
        session.restore(saved)


@pytest.mark.parametrize("how", ["pause", "validate", "checkpoint"])
def test_a_request_does_not_hide_a_nan(line: Definition, how: str) -> None:
    """The metrics that are told before the answer are looked into, too, and the first NaN is named."""
    line.edit('return {"loss": loss}', 'return {"loss": loss * float("nan") if batch_idx == 5 else loss}')
    line.edit("x, y = batch\n        loss", "x, y = batch\n        import time\n        time.sleep(0.01)\n        loss")
    session = line.load()
    session.step(5)
    session.train(batches=30, stop_at_nan=True)
    while session.batches_trained < 6:
        threading.Event().wait(0.001)
    getattr(session, how)()
    if how == "pause":
        session.resume()
    with pytest.raises(TrialError, match="loss was no finite number at batch 6"):
        session.wait()
    assert session.batches_trained < 12


class TestDataThatEnds:
    """Each in its own words."""

    @pytest.mark.parametrize("error", ["StopIteration", "EOFError", "ConnectionResetError"])
    def test_an_error_of_the_dataset_in_a_worker_is_the_datasets(self, line: Definition, error: str) -> None:
        """Neither an empty loader nor a worker that was killed."""
        dataset = f"""
class Broken(Dataset):
    def __len__(self):
        return 40

    def __getitem__(self, index):
        if index == 9:
            raise {error}("page nine is missing")
        return inputs[index], targets[index]
"""
        session = prepare(line, dataset, (TRAINING, "DataLoader(Broken(), batch_size=4, num_workers=1)")).load()
        with pytest.raises(TrialError, match=error) as raised:
            session.train(batches=5, wait=True)
        assert "page nine is missing" in str(raised.value)
        assert "worker ended" not in str(raised.value)
        assert session.batches_trained == 2

    def test_a_stream_that_loses_its_connection_without_any_worker(self, line: Definition) -> None:
        """No worker is blamed where there is none."""
        stream = """
class Far(IterableDataset):
    def __iter__(self):
        yield inputs[0], targets[0]
        raise ConnectionResetError("far away")
"""
        edits = (TRAINING, "torch.utils.data.DataLoader(Far())"), ("self.context = context", f"self.context = context; {PLAIN}")
        session = prepare(line, stream, *edits).load()
        with pytest.raises(TrialError, match="ConnectionResetError in your code"):
            session.train(batches=5, wait=True)

    def test_a_loader_for_one_pass_is_told_from_an_empty_one(self, line: Definition) -> None:
        """A generator gave its batches; what it lacks is a second pass."""
        once = "((inputs[:4], targets[:4]) for _ in range(5))"
        session = prepare(line, "", (TRAINING, once), ("self.context = context", f"self.context = context; {PLAIN}")).load()
        with pytest.raises(TrialError, match=r"held no batch \(after batch 5\)") as raised:
            session.train(batches=9, wait=True)
        assert "only once" in str(raised.value.hint)


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


def test_names_and_numbers_of_metrics_that_nobody_expects(line: Definition) -> None:
    """A name that is a number is a name all the same; a whole number that no float can hold is left out."""
    line.edit('return {"loss": loss}', 'return {"loss": loss, 1: 2.0, "huge": 10**400}')
    line.edit('return {"error": ', 'return {7: 2.0, "error": ')
    session = line.load()
    session.train(batches=3, wait=True)
    assert session.run is not None
    assert sorted(session.run.metric_names()) == ["1", "loss"]
    assert session.record().latest["validation"]["7"] == 2.0


def test_what_a_trial_logs_goes_where_it_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also through a handler that a cell made before, for itself; what the cell logs stays there, and so does the handler afterwards."""
    stream, sink, logger = io.StringIO(), LogSink(), logging.getLogger("of a definition")
    monkeypatch.setattr(sys, "stderr", stream)
    handler = logging.StreamHandler()
    logging.getLogger().addHandler(handler)
    try:
        with captured(sink):
            logger.warning("from the trial")
            other = threading.Thread(target=logger.warning, args=("from a cell",))
            other.start()
            other.join()
        logger.warning("afterwards")
    finally:
        logging.getLogger().removeHandler(handler)
    assert [line.text for line in sink.take()] == ["from the trial"]
    assert stream.getvalue().splitlines() == ["from a cell", "afterwards"]
    assert handler.stream is stream


def test_a_cell_that_captures_gets_one_batch_of_a_trials_prints_at_most(line: Definition) -> None:
    """The batch under way when the cell began; all others are in the run's log."""
    line.edit("        x, y = batch\n        loss", "        x, y = batch\n        print('batch', batch_idx)\n        loss")
    session = line.load()
    session.train(batches=2_000)
    with contextlib.redirect_stdout(io.StringIO()) as seen:
        until = min(session.batches_trained + 300, 2_000)
        while session.batches_trained < until:
            time.sleep(0.001)
    session.wait()
    assert len(seen.getvalue().splitlines()) <= 1
