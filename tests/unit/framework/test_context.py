"""The part of a trial's context that all frameworks share; it needs none of them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from detjupyter.definition.config import Config, read_config
from detjupyter.errors import ArgumentError, HyperparameterError, TrialUsageError
from detjupyter.framework.context import TrialContext
from detjupyter.next_step import Wording, worded


def context(hparams: dict[str, Any] | None = None, *, seed: int | None = 7, **given: Any) -> TrialContext:
    """Return a context with these hyperparameters."""
    raw = {"name": "x", "data": {"dir": "d"}}
    return TrialContext(Config(raw=raw, hyperparameters=hparams or {}, data=raw["data"]), seed=seed, **given)


def test_it_answers_with_the_configuration() -> None:
    """As it was read."""
    mine = context({"lr": 0.1})
    assert (mine.get_hparams(), mine.get_hparam("lr")) == ({"lr": 0.1}, 0.1)
    assert mine.get_experiment_config() == {"name": "x", "data": {"dir": "d"}}
    assert (mine.get_data_config(), mine.get_trial_seed()) == ({"dir": "d"}, 7)
    assert (mine.get_experiment_id(), mine.get_trial_id(), mine.get_initial_batch()) == (1, 1, 0)


@pytest.mark.parametrize(
    ("ask", "missing"),
    [("get_experiment_config", "knows_config"), ("get_hparams", "knows_hyperparameters")],
)
def test_what_was_not_given_is_refused_with_the_way_to_give_it(ask: str, missing: str) -> None:
    """In words that fit any framework."""
    with pytest.raises(ArgumentError) as raised:
        getattr(context(**{missing: False}), ask)()
    assert "where the context is made" in (raised.value.hint or "")
    assert "pytorch" not in str(raised.value)


def test_a_missing_seed_is_refused() -> None:
    """With where to set it."""
    with pytest.raises(TrialUsageError, match="seed is not set") as raised:
        context(seed=None).get_trial_seed()
    assert "experiment_seed" in (raised.value.hint or "")


def test_a_missing_hyperparameter_is_answered_with_those_there_are() -> None:
    """And with the one that may be meant."""
    with pytest.raises(HyperparameterError, match=r"no hyperparameter 'learnin_rate'.*dropout, learning_rate") as raised:
        context({"learning_rate": 0.1, "dropout": 0.5}).get_hparam("learnin_rate")
    assert "'learning_rate'" in (raised.value.hint or "")
    assert raised.value.available == ("dropout", "learning_rate")


def test_a_missing_hyperparameter_may_be_in_a_config_that_was_not_read() -> None:
    """The next step is to name the config; without such files, to set the hyperparameter."""
    unread = TrialContext(Config(unread=("config.yaml", "adaptive.yaml")), seed=7)
    for ask in (lambda: unread.get_hparam("lr"), unread.get_global_batch_size):
        with pytest.raises(HyperparameterError) as raised:
            ask()
        assert "config.yaml, adaptive.yaml may be one" in (raised.value.hint or "")
        assert "`--config config.yaml`" in worded(raised.value.hint or "", Wording.MAGICS)
    with pytest.raises(HyperparameterError) as raised:
        context({}).get_hparam("lr")
    assert "under `hyperparameters:` in the YAML" in (raised.value.hint or "")


def test_a_missing_hyperparameter_may_be_under_a_misspelled_key() -> None:
    """The error ends the load, so it names the warnings of the config."""
    misspelled = read_config({"hyperparamters": {"lr": 1}}, Path())
    with pytest.raises(HyperparameterError) as raised:
        TrialContext(misspelled, seed=7).get_hparam("lr")
    assert "Did you mean `hyperparameters`?" in (raised.value.hint or "")


@pytest.mark.parametrize("size", [None, "64", 6.4, True, 0, -1])
def test_a_batch_size_that_is_not_a_positive_integer_is_refused(size: Any) -> None:
    """By its value; both ways to ask."""
    mine = context({"global_batch_size": size} if size is not None else {})
    for ask in (mine.get_global_batch_size, mine.get_per_slot_batch_size):
        with pytest.raises(HyperparameterError, match=f"got {size!r}"):
            ask()


def test_the_global_batch_size_as_a_hyperparameter_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """On several GPUs it would be too much."""
    with caplog.at_level(logging.WARNING, logger="detjupyter"):
        assert context({"global_batch_size": 8}).get_hparam("global_batch_size") == 8
    assert "get_per_slot_batch_size" in caplog.text


def test_it_knows_where_the_training_is() -> None:
    """Epochs are counted by the length of the data; without one, the first epoch never ends."""
    mine = context()
    for ask in (mine.current_train_batch, mine.current_train_epoch, mine.is_epoch_start, mine.is_epoch_end):
        with pytest.raises(TrialUsageError, match="no training has started"):
            ask()
    mine.batches_per_epoch = 2
    seen = []
    for mine.batch_idx in range(4):
        seen.append((mine.current_train_epoch(), mine.is_epoch_start(), mine.is_epoch_end()))
    assert seen == [(0, True, False), (0, False, True), (1, True, False), (1, False, True)]
    mine.batches_per_epoch, mine.batch_idx = None, 10**6
    assert (mine.current_train_epoch(), mine.is_epoch_start(), mine.is_epoch_end()) == (0, False, False)
    assert (mine._epoch_len, mine._current_batch_idx) == (None, 10**6)


def test_only_a_bool_stops_the_training() -> None:
    """What definitions expect of anything else is an AssertionError."""
    mine = context()
    mine.set_stop_requested(True)
    assert mine.get_stop_requested()
    with pytest.raises(AssertionError, match="got 'yes'"):
        mine.set_stop_requested("yes")  # type: ignore[arg-type]


def test_its_directory_for_tensorboard_is_made_once() -> None:
    """It is created on first use."""
    mine = context()
    assert mine.get_tensorboard_path() is mine.get_tensorboard_path()
    assert mine.get_tensorboard_path().is_dir()


@pytest.mark.parametrize(
    ("name", "meant"), [("get_hparms", " Did you mean 'get_hparams'?"), ("wrap_model", ""), ("Config", " Did you mean 'config'?")]
)
def test_a_name_that_is_not_there_is_answered_with_the_one_that_is_meant(name: str, meant: str) -> None:
    """If one is close; with the class of the context, and with no framework's reasons."""
    with pytest.raises(AttributeError) as raised:
        getattr(context(), name)
    assert str(raised.value) == f"TrialContext has no {name!r}.{meant}"
    assert not hasattr(context(), name)
