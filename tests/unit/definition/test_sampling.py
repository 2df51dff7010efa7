from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detjupyter.definition import Config, read_config
from detjupyter.errors import ArgumentError, HyperparameterError


def read(tmp_path: Path, text: str, hparams: dict[str, Any] | None = None, seed: int = 7) -> Config:
    """Write `const.yaml` and read it."""
    (tmp_path / "const.yaml").write_text(text)
    return read_config(None, tmp_path, hparams, seed)


RANGES = """
hyperparameters:
  width: {type: int, minval: 8, maxval: 64}
  activation: {type: categorical, vals: [relu, gelu, tanh]}
  lr: {type: log, base: 10, minval: -4, maxval: -1}
  dropout: {type: double, minval: 0.1, maxval: 0.5, count: 4}
  fixed: {type: const, val: 3}
  optimizer: {type: adam, beta: 0.9}
  nested: {b: {type: int, minval: 0, maxval: 1000}, a: {type: double, minval: 0, maxval: 1}}
"""


class TestSampling:
    """Ranges become values as in Determined."""

    @pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
    def test_draws_are_numpys_in_sorted_order(self, tmp_path: Path, seed: int) -> None:
        """RandomState(seed), names sorted level by level, const draws nothing, int includes its maximum."""
        random = np.random.RandomState(seed)
        expected = {
            "activation": ["relu", "gelu", "tanh"][random.randint(3)],
            "dropout": random.uniform(0.1, 0.5),
            "fixed": 3,
            "lr": 10 ** random.uniform(-4, -1),
            "nested": {"a": random.uniform(0, 1), "b": random.randint(0, 1001)},
            "optimizer": {"type": "adam", "beta": 0.9},
            "width": random.randint(8, 65),
        }
        config = read(tmp_path, RANGES, seed=seed)
        assert config.hyperparameters == expected
        assert {type(config.hyperparameters[name]) for name in ("width", "lr", "dropout")} == {int, float}
        assert list(config.hyperparameters) == ["width", "activation", "lr", "dropout", "fixed", "optimizer", "nested"]

    def test_origins_say_what_was_drawn(self, tmp_path: Path) -> None:
        """A drawn value names the file and the seed; a constant, and one overridden, do not."""
        origins = read(tmp_path, RANGES, {"width": 16, "lr": {"type": "log", "minval": -2, "maxval": -1}}).origins
        assert origins["dropout"] == "sampled from const.yaml line 6, seed 7"
        assert origins["nested.a"] == "sampled from const.yaml line 9, seed 7"
        assert (origins["fixed"], origins["optimizer.beta"]) == ("const.yaml line 7", "const.yaml line 8")
        assert (origins["width"], origins["lr"]) == ("override", "sampled from override, seed 7")

    def test_the_maximum_of_an_int_can_be_drawn(self, tmp_path: Path) -> None:
        """As in Determined since 0.17."""
        drawn = {
            read(tmp_path, "hyperparameters: {n: {type: int, minval: 1, maxval: 2}}\n", seed=seed).hyperparameters["n"]
            for seed in range(20)
        }
        assert drawn == {1, 2}

    @pytest.mark.parametrize(
        "text",
        [
            "{type: int, minval: 1}",
            "{type: int, minval: 1.5, maxval: 2}",
            "{type: int, minval: 3, maxval: 2}",
            "{type: double, minval: a, maxval: 2}",
            "{type: categorical, vals: []}",
            "{type: categorical, vals: relu}",
            "{type: log, base: 0, minval: 1, maxval: 2}",
            "{type: catgorical, vals: [1]}",
            "{type: const}",
            "{type: int, minval: -99999999999999999999, maxval: 99999999999999999999}",
            "{type: double, minval: -1.7e308, maxval: 1.7e308}",
            "{type: log, minval: 400, maxval: 500}",
            "{type: double, minval: .nan, maxval: 1}",
            "{type: int, minval: true, maxval: 3}",
        ],
    )
    def test_a_range_that_makes_no_sense_names_the_hyperparameter(self, tmp_path: Path, text: str) -> None:
        """The dotted name and the value at fault."""
        with pytest.raises(HyperparameterError, match=r"outer\.n") as caught:
            read(tmp_path, f"hyperparameters: {{outer: {{n: {text}}}}}\n")
        assert caught.value.name == "outer.n"

    @pytest.mark.parametrize("written", ["{type: log, minval: -4, maxval: -1}", "{type: log, base: 10, minval: -4, maxval: -1}"])
    def test_the_base_of_a_log_range_is_ten_unless_it_is_said(self, tmp_path: Path, written: str) -> None:
        """Determined asks for it in YAML; `det.Log` has the same default."""
        expected = 10 ** np.random.RandomState(3).uniform(-4, -1)
        assert read(tmp_path, f"hyperparameters: {{lr: {written}}}\n", seed=3).hyperparameters == {"lr": expected}

    def test_a_log_scale_may_have_another_base(self, tmp_path: Path) -> None:
        """Two to the power of what is drawn."""
        expected = 2.0 ** np.random.RandomState(3).uniform(1, 5)
        assert read(tmp_path, "hyperparameters: {n: {type: log, base: 2, minval: 1, maxval: 5}}\n", seed=3).hyperparameters == {
            "n": expected
        }

    def test_an_override_draws_nothing_and_a_range_given_as_one_does(self, tmp_path: Path) -> None:
        """The draws of the names after it move up, or stay."""
        text = "hyperparameters: {a: {type: double, minval: 0, maxval: 1}, b: {type: double, minval: 0, maxval: 1}}\n"
        random = np.random.RandomState(7)
        first, second = random.uniform(0, 1), random.uniform(5, 6)
        assert read(tmp_path, text, {"a": 3}).hyperparameters == {"a": 3, "b": first}
        assert read(tmp_path, text, {"b": {"type": "double", "minval": 5, "maxval": 6}}).hyperparameters == {"a": first, "b": second}

    def test_a_categorical_may_choose_between_maps(self, tmp_path: Path) -> None:
        """As newer versions of Determined let it."""
        text = "hyperparameters: {opt: {type: categorical, vals: [{name: sgd, lr: 1}, {name: adam, lr: 2}]}}\n"
        expected = [{"name": "sgd", "lr": 1}, {"name": "adam", "lr": 2}][np.random.RandomState(7).randint(2)]
        assert read(tmp_path, text).hyperparameters == {"opt": expected}

    def test_the_same_seed_draws_the_same(self, tmp_path: Path) -> None:
        """And another one others."""
        assert read(tmp_path, RANGES).hyperparameters == read(tmp_path, RANGES).hyperparameters
        assert read(tmp_path, RANGES).hyperparameters != read(tmp_path, RANGES, seed=8).hyperparameters

    def test_a_seed_out_of_bounds(self, tmp_path: Path) -> None:
        """A seed has 32 bits."""
        with pytest.raises(ArgumentError, match="-1"):
            read(tmp_path, RANGES, seed=-1)
