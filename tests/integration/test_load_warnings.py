"""Configs that are found, and what a load warns about."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

import detjupyter as dj
from detjupyter.errors import HyperparameterError

if TYPE_CHECKING:
    from support.definition import Definition


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Leave no session behind."""
    yield
    for session in dj.sessions():
        session.close()


class TestConfigsThatAreFound:
    """Without `const.yaml`."""

    def test_the_only_config_is_read_and_named(self, line: Definition) -> None:
        """On the card; a reload reads the same file although there is another one now."""
        (line.root / "config.yaml").write_text("hyperparameters: {lr: 0.5}\n")
        session = line.load()
        card = session.card()
        assert card.config_path == str(line.root / "config.yaml")
        assert card.notes[-1].startswith("Config config.yaml: the only YAML file here")
        (line.root / "adaptive.yaml").write_text("hyperparameters: {lr: 0.1}\n")
        session.reload()
        assert session.card().config_path == str(line.root / "config.yaml")
        assert [item.value for item in session.card().hyperparameters] == [0.5]

    def test_among_several_the_user_chooses(self, line: Definition) -> None:
        """The card lists them, and so does the error about a hyperparameter that one of them may have."""
        for name in ("adaptive.yaml", "config.yaml"):
            (line.root / name).write_text("hyperparameters: {hidden: 8}\n")
        assert line.load().card().warnings == (
            'No config was read: there is no const.yaml. To read one: `config="adaptive.yaml"`, `config="config.yaml"`.',
        )
        line.edit("nn.Linear(1, 8)", 'nn.Linear(1, context.get_hparam("hidden"))')
        with pytest.raises(HyperparameterError) as caught:
            line.load()
        assert 'load with `config="adaptive.yaml"`' in (caught.value.hint or "")
        assert line.load(config="config.yaml").card().warnings == ()

    def test_the_only_one_that_cannot_be_read_is_named(self, line: Definition) -> None:
        """With the reason and its line: on the card, and in the error about a hyperparameter that it may have."""
        (line.root / "config.yaml").write_text("hyperparameters:\n  hidden: [8\n")
        (warning,) = line.load().card().warnings
        assert warning.startswith("No config was read: config.yaml is not valid YAML: ")
        assert warning.endswith(" (config.yaml, line 3).")
        line.edit("nn.Linear(1, 8)", 'nn.Linear(1, context.get_hparam("hidden"))')
        with pytest.raises(HyperparameterError) as caught:
            line.load()
        assert (caught.value.hint or "").startswith(warning)


class TestWarnings:
    """Of Python's call; the magic prints them."""

    def test_they_are_logged_and_on_the_card(self, line: Definition, caplog: pytest.LogCaptureFixture) -> None:
        """A key of the config and an override that are misspelled."""
        session = line.load(config={"hyperparamters": {}}, hparams={"dropot": 0.5, "lr": 0.1})
        expected = (
            "`hyperparamters` in config is not a known key; its value is kept. Did you mean `hyperparameters`?",
            "The trial does not read the hyperparameter `dropot`: its code does not mention it. Did you mean `dropout`?",
        )
        assert session.card().warnings == expected
        assert tuple(record.getMessage() for record in caplog.records if record.levelno == logging.WARNING) == expected

    def test_a_function_can_take_them(self, line: Definition, caplog: pytest.LogCaptureFixture) -> None:
        """Instead of the log."""
        taken: list[str] = []
        line.load(hparams={"momentum": 0.5}, warn=taken.append)
        assert taken == ["The trial does not read the hyperparameter `momentum`: its code does not mention it."]
        assert not caplog.records

    def test_what_the_framework_reads_is_not_named(self, line: Definition) -> None:
        """Nor what the trial reads."""
        assert line.load(hparams={"clip_grad_val": 1.0, "lr": 0.1}).card().warnings == ()


class TestBatchSizes:
    """An invalid one is found by the load, not by the training that needs the data."""

    @pytest.mark.parametrize("size", [0, -4, "64", 2.5])
    def test_an_invalid_batch_size_is_refused(self, line: Definition, size: object) -> None:
        """If the code asks for it; the error says where the value comes from."""
        line.load(hparams={"global_batch_size": size})
        line.edit("batch_size=4", "batch_size=self.context.get_per_slot_batch_size()")
        (line.root / "const.yaml").write_text("hyperparameters: {global_batch_size: 8}\n")
        with pytest.raises(HyperparameterError, match="must be a positive integer") as caught:
            line.load(hparams={"global_batch_size": size})
        assert caught.value.hint == "The value comes from override: set a positive integer there."
        session = line.load()
        assert session.card().warnings == ()
        session.train(batches=1, wait=True)

    def test_a_missing_batch_size_is_a_warning(self, line: Definition) -> None:
        """The code may never ask for it."""
        line.edit("batch_size=4", "batch_size=self.context.get_per_slot_batch_size()")
        (warning,) = line.load().card().warnings
        assert warning.endswith('load with `hparams={"global_batch_size": 32}`.')
