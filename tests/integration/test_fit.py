"""``Trainer.fit``: how long it trains, and when it validates, saves and reports."""

from __future__ import annotations

import inspect
import logging
from typing import Any

import numpy as np
import pytest
from support.fitting import fitted, moments, parameters, period_lengths, session_of, trainer_of
from support.trained import checkpoints, validations

import detjupyter as dj
from detjupyter import pytorch
from detjupyter.errors import ArgumentError, LengthError
from detjupyter.pytorch import Batch, Epoch


class TestFit:
    """`Trainer.fit`."""

    def test_its_arguments_are_determineds_in_its_order(self) -> None:
        """With its defaults; what is more comes by name only."""
        given = parameters(pytorch.Trainer.fit)
        assert list(given.items())[:9] == [
            ("checkpoint_period", None),
            ("validation_period", None),
            ("max_length", None),
            ("reporting_period", Batch(100)),
            ("checkpoint_policy", "best"),
            ("latest_checkpoint", None),
            ("step_zero_validation", False),
            ("test_mode", False),
            ("profiling_enabled", False),
        ]
        more = [one for one in inspect.signature(pytorch.Trainer.fit).parameters.values() if one.name not in (*list(given)[:9], "self")]
        assert all(one.kind is one.KEYWORD_ONLY for one in more)
        assert (Batch(3).value, Epoch(value=2).value) == (3, 2)

    def test_a_report_comes_every_hundred_batches_by_default(self) -> None:
        """And at the end."""
        assert period_lengths(fitted(max_length=Batch(101))) == [100, 1]

    @pytest.mark.parametrize("number", [0, -5])
    def test_periods_less_than_one_mean_always(self, number: int) -> None:
        """Of epochs: at the end of each, never within one."""
        session = fitted(max_length=Batch(25), checkpoint_period=Epoch(number), reporting_period=Epoch(number), checkpoint_policy="none")
        assert checkpoints(session) == [10, 20, 25]
        assert period_lengths(session) == [10, 10, 5]
        session = fitted(max_length=Batch(3), validation_period=Batch(number), checkpoint_period=Batch(number), checkpoint_policy="none")
        assert validations(session) == checkpoints(session) == [1, 2, 3]

    def test_nothing_is_due_at_number_zero_nor_without_a_period(self) -> None:
        """The end still has both a validation and a checkpoint."""
        session = fitted(max_length=Epoch(2), validation_period=Epoch({0}), checkpoint_period=Batch([0, 3]), checkpoint_policy="none")
        assert (validations(session), checkpoints(session)) == ([20], [3, 20])
        session = fitted(max_length=Epoch(2))
        assert validations(session) == checkpoints(session) == [20]

    def test_the_best_is_strictly_better(self) -> None:
        """An equal one is not saved again; the first is always the best so far."""
        session = fitted([2.0, 2.0, 1.0, 1.0, 3.0, 3.0], max_length=Batch(11), validation_period=Batch(2))
        assert checkpoints(session) == [2, 6, 11]

    @pytest.mark.parametrize(("policy", "saved"), [("all", [0, 2]), ("best", [0, 2]), ("none", [2])])
    def test_the_validation_of_an_untrained_trial_is_one_like_any_other(self, policy: Any, saved: list[int]) -> None:
        """The policy counts for it, too: the first is the best so far."""
        session = fitted(max_length=Batch(2), step_zero_validation=True, checkpoint_policy=policy)
        assert (validations(session), checkpoints(session)) == ([0, 2], saved)

    def test_an_epoch_is_a_pass_over_the_data(self) -> None:
        """Here `records_per_epoch` is ignored, as in Determined since 0.21; so it is in the config's own length."""
        config = {"records_per_epoch": 8, "searcher": {"name": "single", "metric": "error", "max_length": {"epochs": 2}}}
        session = fitted(exp_conf=config, validation_period=Epoch(1))
        assert validations(session) == [10, 20]

    def test_the_configs_periods_are_not_those_of_a_fit(self) -> None:
        """Only its length counts, where there is no `max_length`."""
        config = {
            "scheduling_unit": 1,
            "min_validation_period": {"batches": 1},
            "min_checkpoint_period": {"batches": 1},
            "perform_initial_validation": True,
            "searcher": {"name": "single", "metric": "error", "max_length": {"batches": 4}},
        }
        session = fitted(exp_conf=config)
        assert validations(session) == checkpoints(session) == [4]
        assert period_lengths(session) == [4]
        assert validations(fitted(exp_conf=config, max_length=Batch(2))) == [2]


class TestBest:
    """The policy ``best``."""

    def test_nan_is_kept_and_never_the_best(self) -> None:
        """The policy `best` never saves a checkpoint for a NaN, regardless of earlier values."""
        nan = float("nan")
        session = fitted([3.0, nan, 2.0, nan], max_length=Batch(8), validation_period=Batch(2))
        values = session.metrics("error", "validation")[1]
        assert np.array_equal(values, [3.0, nan, 2.0, nan], equal_nan=True)
        assert checkpoints(session) == [2, 6, 8]
        assert session.record().best.value == 2.0


def test_periods_and_schedules_say_when_to_validate_to_save_and_to_report() -> None:
    """Batches and epochs, as a period or as a container of those at which it is due; less than one means always."""
    trainer = trainer_of()
    trainer.fit(
        max_length=Batch(25),
        validation_period=Batch([3, 4, 21]),
        checkpoint_period=Epoch(1),
        reporting_period=Batch(5),
        checkpoint_policy="none",
    )
    assert validations(session_of(trainer)) == [3, 4, 21, 25]
    assert checkpoints(session_of(trainer)) == [10, 20, 25]
    ends = [seen[0] for seen in moments(session_of(trainer)) if isinstance(seen, tuple)]
    assert ends == [3, 4, 5, 10, 15, 20, 21, 25]
    assert sum(period_lengths(session_of(trainer))) == 25

    trainer = trainer_of()
    trainer.fit(max_length=Batch(3), validation_period=Batch(0), checkpoint_policy="all")
    assert validations(session_of(trainer)) == checkpoints(session_of(trainer)) == [1, 2, 3]

    trainer = trainer_of()
    trainer.fit(max_length=Epoch(3), validation_period=Epoch({2}), checkpoint_policy="none", step_zero_validation=True)
    assert validations(session_of(trainer)) == [0, 20, 30]


def test_the_policy_best_saves_what_is_better_than_all_before() -> None:
    """Without a searcher's metric the first validation metric ranks, by its name; so `best` means best here, too."""
    trainer = trainer_of()
    trainer.fit(max_length=Batch(12), validation_period=Batch(2))
    _, errors = session_of(trainer).metrics("error", "validation")
    best = [2 * (index + 1) for index, error in enumerate(errors) if error == min(errors[: index + 1])]
    assert checkpoints(session_of(trainer)) == sorted({*best, 12})


def test_a_length_in_total_that_is_reached_trains_nothing_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """`max_length` counts from the first batch: the same fit again has nothing to do, a longer one does the rest."""
    trainer = trainer_of()
    trainer.fit(max_length=Batch(5))
    with caplog.at_level(logging.WARNING, "detjupyter"):
        trainer.fit(max_length=Batch(5))
    assert "nothing to train" in caplog.text
    assert session_of(trainer).batches_trained == 5
    trainer.fit(max_length=Batch(8))
    assert list(session_of(trainer).metrics("loss")[0]) == list(range(1, 9))


@pytest.mark.parametrize(("max_length", "written"), [(5, []), (3, []), (6, [6])])
def test_a_finished_fit_that_is_run_again_validates_and_saves_nothing(max_length: int, written: list[int]) -> None:
    """A cell that restores its own last checkpoint has nothing to do, and costs neither a validation nor a copy of the weights."""
    first = trainer_of()
    first.fit(max_length=Batch(5))
    run = session_of(first).run
    assert run is not None
    again = trainer_of()
    again.fit(max_length=Batch(max_length), latest_checkpoint=run.checkpoints()[-1].id)
    rerun = session_of(again).run
    assert rerun is not None
    assert [one.batches_trained for one in rerun.checkpoints()] == written
    assert rerun.metric_names("validation") == (["error"] if written else [])
    assert rerun.state == "finished"


def test_test_mode_takes_one_batch_through_everything() -> None:
    """One batch is trained, and the trial is validated and saved, for any length; a second call trains one more batch."""
    trainer = trainer_of()
    trainer.fit(max_length=Epoch(100), test_mode=True)
    assert session_of(trainer).batches_trained == 1
    assert validations(session_of(trainer)) == checkpoints(session_of(trainer)) == [1]
    assert moments(session_of(trainer))[:2] == ["start", (1, 1)]
    trainer.fit(test_mode=True)
    assert session_of(trainer).batches_trained == 2


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({}, LengthError, "needs max_length"),
        ({"max_length": 5}, TypeError, r"Batch\(n\) or Epoch\(n\)"),
        ({"max_length": Batch(1.5)}, TypeError, "integer n"),  # type: ignore[arg-type]
        ({"max_length": Batch([5])}, TypeError, "integer n"),
        ({"max_length": Batch(0)}, LengthError, "must be positive"),
        ({"max_length": Batch(5), "checkpoint_policy": "sometimes"}, ArgumentError, "best, all, none"),
        ({"max_length": Batch(5), "validation_period": "often"}, TypeError, "validation_period"),
        ({"max_length": Batch(5), "checkpoint_period": Batch("often")}, TypeError, "checkpoint_period"),  # type: ignore[arg-type]
        ({"max_length": Batch(5), "reporting_period": Batch(2.5)}, TypeError, "reporting_period"),  # type: ignore[arg-type]
    ],
)
def test_arguments_that_make_no_sense_are_refused_before_anything_happens(given: dict[str, Any], error: type[Exception], text: str) -> None:
    """No session is made, and the error says which argument."""
    trainer = trainer_of()
    with pytest.raises(error, match=text):
        trainer.fit(**given)
    assert trainer.session is None
    assert dj.sessions() == []


def test_what_did_something_once_says_that_it_does_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """`configure_profiler` and `profiling_enabled` are taken and answered with what to use."""
    trainer = trainer_of()
    with caplog.at_level(logging.WARNING, "detjupyter"):
        trainer.configure_profiler(enabled=True, sync_timings=True)
        trainer.fit(max_length=Batch(1), profiling_enabled=True)
    assert caplog.text.count("set_profiler") == 2
