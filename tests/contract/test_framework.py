"""What every framework owes (see the prose of ``detjupyter.framework.adapter``), asked of each of them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.frameworks import BATCH, PER_EPOCH, FrameworkCase, install_numpy_linear, train, validated, write_definition

from detjupyter.errors import CheckpointError
from detjupyter.framework.framework import build_adapter, find_framework, known_frameworks

MIDDLE, END = 11, 21
"""In the middle of the second epoch, and of the third."""


@pytest.fixture(params=["numpy_linear", "pytorch"])
def case(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FrameworkCase:
    """Return a framework, with a small definition of it."""
    if request.param == "numpy_linear":
        install_numpy_linear(monkeypatch)
    else:
        pytest.importorskip("torch")
    return FrameworkCase(request.param, write_definition(tmp_path / "ridge", request.param))


@pytest.fixture
def whole(case: FrameworkCase) -> dict[str, list[float]]:
    """Return the metrics of a training that nothing interrupts."""
    return train(case.build(), range(END))


def save(adapter: Any, directory: Path, batches_trained: int) -> Path:
    """Save a state in a new directory."""
    directory.mkdir()
    adapter.save(directory, batches_trained)
    return directory


def tail(metrics: dict[str, list[float]], start: int) -> dict[str, list[float]]:
    """Return the metrics of the batches from ``start`` on."""
    return {name: values[start:] for name, values in metrics.items()}


class TestTheRecord:
    """How a framework is found, and what it says of itself."""

    def test_it_is_found_by_the_name_that_its_trials_bear(self, case: FrameworkCase) -> None:
        """There is one object of it, and it is among those that are known."""
        framework = find_framework(case.options().trial_class.framework)
        assert framework is case.framework
        assert framework.name == case.name
        assert case.name in known_frameworks()
        assert build_adapter(case.options()).trial is not None

    def test_it_names_the_kind_of_trial_and_what_decides_over_bits(self, case: FrameworkCase) -> None:
        """In text, so that two processes can compare."""
        settings = case.framework.numeric_settings()
        assert settings
        assert all(isinstance(text, str) for pair in settings.items() for text in pair)
        assert case.framework.trial_type.isidentifier()

    def test_it_keeps_the_random_states_of_the_process(self, case: FrameworkCase) -> None:
        """Python's and numpy's at least; what is seeded and drawn in the block has not been."""
        random.seed(5)
        np.random.seed(5)
        with case.framework.kept_random_states():
            random.seed(9)
            np.random.seed(9)
        kept = random.random(), np.random.random()
        random.seed(5)
        np.random.seed(5)
        assert kept == (random.random(), np.random.random())

    def test_it_says_where_two_states_differ(self, case: FrameworkCase, tmp_path: Path) -> None:
        """Not at all between two trainings of the same batches; after one batch more, somewhere."""
        one, two = case.build(), case.build()
        train(one, range(MIDDLE))
        train(two, range(MIDDLE))
        first, second = save(one, tmp_path / "one", MIDDLE), save(two, tmp_path / "two", MIDDLE)
        assert case.framework.first_difference(first, second) is None
        train(two, range(MIDDLE, MIDDLE + 1))
        assert case.framework.first_difference(first, save(two, tmp_path / "three", MIDDLE + 1))

    def test_a_saved_trial_has_its_weights(self, case: FrameworkCase, tmp_path: Path) -> None:
        """They evaluate as those of the trial that was saved; the process's random states do not move."""
        adapter = case.build()
        train(adapter, range(MIDDLE))
        directory, options = save(adapter, tmp_path / "saved", MIDDLE), case.options(seed=2)
        before = random.getstate()
        trial, context = case.framework.load_saved(
            options.trial_class, options.config, directory, device="cpu", trust=False, trial_kwargs={}
        )
        assert random.getstate() == before
        assert isinstance(trial, options.trial_class)
        assert trial.context is context
        fresh = case.build(seed=2)
        weights = [_weights(one) for one in (adapter.trial, trial, fresh.trial)]
        assert weights[0] == weights[1] != weights[2]

    def test_a_saved_trial_of_another_shape_is_refused(self, case: FrameworkCase, tmp_path: Path) -> None:
        """By a CheckpointError."""
        directory, options = save(case.build(), tmp_path / "saved", 0), case.options(features=5)
        with pytest.raises(CheckpointError):
            case.framework.load_saved(options.trial_class, options.config, directory, device="cpu", trust=False, trial_kwargs={})


def _weights(trial: Any) -> list[float]:
    return [float(value) for value in np.ravel(trial.weights if hasattr(trial, "weights") else trial.model.weight.detach().numpy())]


class TestBatches:
    """Training by the index of the batch."""

    def test_the_length_of_the_data_is_known(self, case: FrameworkCase) -> None:
        """The short batch at the end of an epoch counts, and holds fewer records."""
        adapter = case.build()
        assert (adapter.batches_per_epoch, adapter.records_per_batch) == (PER_EPOCH, BATCH)
        with adapter.active():
            adapter.begin(0)
            assert [adapter.train_batch(index)[1] for index in range(PER_EPOCH + 1)] == [4] * 7 + [2, 4]

    def test_metrics_are_columns_on_the_host(self, case: FrameworkCase, whole: dict[str, list[float]]) -> None:
        """One value per batch; where a batch has no such metric it is NaN; the context knows the batch."""
        assert list(whole) == ["loss", "batch", "epoch", "first", "even"]
        assert whole["batch"] == list(range(END))
        assert whole["epoch"] == [index // PER_EPOCH for index in range(END)]
        assert whole["even"] == [None if index % 2 else 1.0 for index in range(END)]
        columns = case.build().fetch([{"a": 1}, {}])
        assert columns["a"].dtype == np.float64
        assert columns["a"].shape == (2,)

    def test_the_seed_decides_over_weights_order_and_noise(self, case: FrameworkCase, whole: dict[str, list[float]]) -> None:
        """The same seed gives the same bits, another one other data and weights."""
        assert train(case.build(), range(END)) == whole
        other = train(case.build(seed=2), range(END))
        assert other["first"] != whole["first"]
        assert other["loss"] != whole["loss"]

    def test_every_epoch_has_an_order_of_its_own(self, whole: dict[str, list[float]]) -> None:
        """Every epoch is shuffled again."""
        assert whole["first"][:PER_EPOCH] != whole["first"][PER_EPOCH : 2 * PER_EPOCH]

    def test_the_kernel_and_the_trial_do_not_draw_from_each_other(self, case: FrameworkCase, whole: dict[str, list[float]]) -> None:
        """What a cell draws between two batches is the cell's, and the trial's numbers stay."""
        random.seed(3)
        np.random.seed(3)
        alone = [(random.random(), np.random.random()) for _ in range(END)]
        random.seed(3)
        np.random.seed(3)
        drawn: list[tuple[float, float]] = []
        assert train(case.build(), range(END), lambda _: drawn.append((random.random(), np.random.random()))) == whole
        assert drawn == alone

    def test_a_request_to_stop_counts_until_the_next_training(self, case: FrameworkCase) -> None:
        """The adapter hands it on."""
        adapter = case.build(stops_at=2)
        train(adapter, range(2))
        assert not adapter.stop_requested
        train(adapter, range(2, 3))
        assert adapter.stop_requested
        train(adapter, range(3, 4))
        assert not adapter.stop_requested

    def test_an_error_of_the_definition_passes_through_and_the_trial_stays_usable(self, case: FrameworkCase, tmp_path: Path) -> None:
        """After it is discarded the trial validates, is saved, and is trained on."""
        adapter = case.build(fails_at=3)
        with pytest.raises(ZeroDivisionError, match="of the definition"):
            train(adapter, range(4))
        adapter.discard_batch()
        assert set(validated(adapter)) == {"error"}
        save(adapter, tmp_path / "saved", 3)
        assert len(train(adapter, range(4, 6))["loss"]) == 2

    def test_a_training_continues_after_its_data_was_released(self, case: FrameworkCase, whole: dict[str, list[float]]) -> None:
        """In the middle of an epoch, with the batch that would have been next."""
        adapter = case.build()
        train(adapter, range(MIDDLE))
        adapter.release()
        assert train(adapter, range(MIDDLE, END)) == tail(whole, MIDDLE)

    def test_the_end_may_come_at_any_time_and_twice(self, case: FrameworkCase) -> None:
        """Of a trial that was never trained, too, which reads no data for it."""
        never = case.build()
        never.trial.build_training_data = never.trial.build_training_data_loader = None
        for adapter in (never, case.build()):
            if adapter is not never:
                train(adapter, range(2))
            for _ in range(2):
                adapter.release()
                adapter.shut_down()


class TestValidation:
    """Evaluating between two batches."""

    @pytest.mark.parametrize("batches", [None, 0, 1, 3], ids=["whole", "closed at once", "closed after 1", "closed after 3"])
    def test_it_changes_nothing_of_the_training(self, case: FrameworkCase, whole: dict[str, list[float]], batches: int | None) -> None:
        """Though it draws; also where it is closed before its end."""
        adapter = case.build()
        assert train(adapter, range(END), lambda _: validated(adapter, batches=batches)) == whole

    def test_it_counts_its_batches_and_returns_metrics(self, case: FrameworkCase) -> None:
        """From 1 to all of them."""
        adapter = case.build()
        train(adapter, range(1))
        with adapter.active():
            assert list(adapter.validate()) == [(index + 1, PER_EPOCH) for index in range(PER_EPOCH)]
        assert set(validated(adapter)) == {"error"}

    def test_a_state_saved_in_the_middle_of_it_is_that_of_the_training(self, case: FrameworkCase, tmp_path: Path) -> None:
        """What the validation has drawn is not in it."""
        adapter = case.build()
        train(adapter, range(MIDDLE))
        before = save(adapter, tmp_path / "before", MIDDLE)
        steps = adapter.validate()
        with adapter.active():
            next(steps)
        within = save(adapter, tmp_path / "within", MIDDLE)
        steps.close()
        assert case.framework.first_difference(before, within) is None


class TestState:
    """Snapshots, checkpoints, edited code."""

    def test_a_snapshot_changes_nothing_of_the_training(self, case: FrameworkCase, whole: dict[str, list[float]]) -> None:
        """Between any two batches."""
        adapter = case.build()
        assert train(adapter, range(END), adapter.snapshot) == whole

    def test_a_snapshot_is_a_copy(self, case: FrameworkCase, tmp_path: Path) -> None:
        """Written when the training is further, it holds the state of its moment."""
        adapter = case.build()
        train(adapter, range(MIDDLE))
        at_once = save(adapter, tmp_path / "at once", MIDDLE)
        snapshot = adapter.snapshot(MIDDLE)
        train(adapter, range(MIDDLE, END))
        later = tmp_path / "later"
        later.mkdir()
        snapshot.write(later)
        assert case.framework.first_difference(at_once, later) is None

    @pytest.mark.parametrize("cut", [0, 1, PER_EPOCH, MIDDLE], ids=["before the first", "after one", "between epochs", "within an epoch"])
    def test_a_restored_trial_continues_as_if_nothing_had_been(
        self, case: FrameworkCase, whole: dict[str, list[float]], tmp_path: Path, cut: int
    ) -> None:
        """A new trial; to the bit, and its own checkpoint is the same."""
        adapter = case.build()
        train(adapter, range(cut))
        saved = save(adapter, tmp_path / "saved", cut)
        other = case.build()
        other.restore(saved)
        assert case.framework.first_difference(saved, save(other, tmp_path / "again", cut)) is None
        assert train(other, range(cut, END)) == tail(whole, cut)

    def test_a_trial_goes_back_to_its_own_checkpoint(self, case: FrameworkCase, whole: dict[str, list[float]], tmp_path: Path) -> None:
        """What was trained since is forgotten."""
        adapter = case.build()
        train(adapter, range(MIDDLE))
        saved = save(adapter, tmp_path / "saved", MIDDLE)
        train(adapter, range(MIDDLE, END - 2))
        adapter.restore(saved)
        assert train(adapter, range(MIDDLE, END)) == tail(whole, MIDDLE)

    @pytest.mark.parametrize("damage", ["missing", "garbage", "of another shape"])
    def test_what_does_not_fit_is_refused_and_changes_nothing(
        self, case: FrameworkCase, whole: dict[str, list[float]], tmp_path: Path, damage: str
    ) -> None:
        """By a CheckpointError that says where."""
        adapter = case.build()
        train(adapter, range(MIDDLE))
        directory = save(case.build(features=5 if damage == "of another shape" else 3), tmp_path / "bad", 0)
        for file in directory.iterdir():
            if damage == "missing":
                file.unlink()
            elif damage == "garbage":
                file.write_bytes(b"\x00 no state")
        with pytest.raises(CheckpointError) as raised:
            adapter.restore(directory)
        assert raised.value.path is not None
        assert train(adapter, range(MIDDLE, END)) == tail(whole, MIDDLE)

    def test_edited_code_continues_with_the_state(self, case: FrameworkCase, whole: dict[str, list[float]]) -> None:
        """In the middle of an epoch; here the edit changes nothing, so the numbers are the same."""
        adapter = case.build()
        train(adapter, range(MIDDLE))
        edited = case.build()
        edited.adopt(adapter)
        adapter.release()
        assert train(edited, range(MIDDLE, END)) == tail(whole, MIDDLE)

    @pytest.mark.parametrize("cut", [1, PER_EPOCH, MIDDLE], ids=["after one", "between epochs", "within an epoch"])
    def test_edited_code_continues_a_training_that_is_under_way(self, case: FrameworkCase, whole: dict[str, list[float]], cut: int) -> None:
        """Nothing begins again: neither the training, nor what the context says of it; also a second time, before any batch."""
        adapter = case.build()
        train(adapter, range(cut))
        for _ in range(2):
            edited = case.build()
            with edited.active():
                edited.adopt(adapter)
            adapter.release()
            assert _of_the_training(edited) == _of_the_training(adapter)
            adapter = edited
        assert train(adapter, range(cut, END), begins=False) == tail(whole, cut)
        assert adapter.context.initial_batch == 0

    def test_edited_code_knows_that_the_training_shall_end(self, case: FrameworkCase) -> None:
        """A request to stop of the code before counts."""
        adapter, edited = case.build(stops_at=2), case.build()
        train(adapter, range(3))
        with edited.active():
            edited.adopt(adapter)
        assert edited.stop_requested

    def test_a_training_continues_after_edited_code_was_refused(self, case: FrameworkCase, whole: dict[str, list[float]]) -> None:
        """As if it had not been asked."""
        adapter = case.build()
        train(adapter, range(MIDDLE))
        edited = case.build(features=5)
        with edited.active(), pytest.raises(CheckpointError):
            edited.adopt(adapter)
        edited.release()
        assert train(adapter, range(MIDDLE, END), begins=False) == tail(whole, MIDDLE)

    def test_the_state_of_another_shape_is_not_taken_over(self, case: FrameworkCase) -> None:
        """By a CheckpointError."""
        adapter = case.build()
        train(adapter, range(2))
        with pytest.raises(CheckpointError):
            case.build(features=5).adopt(adapter)


def _of_the_training(adapter: Any) -> list[Any]:
    context = adapter.context
    return [context.initial_batch, context.batch_idx, context.batches_per_epoch, context.stop_requested]
