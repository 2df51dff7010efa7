"""Errors of the user: each gives one short message with the value, the place and the next step, and without frames of detjupyter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.bench import LONG
from support.waiting import LIMIT_S

import detjupyter as dj
from detjupyter.errors import (
    ArgumentError,
    ConfigError,
    DefinitionNotFoundError,
    DefinitionSyntaxError,
    DetJupyterError,
    DeviceError,
    EntrypointError,
    HyperparameterError,
    NoSessionError,
    NotATrialError,
    SessionBusyError,
    TrialError,
)

if TYPE_CHECKING:
    from support.definition import Definition

OURS = str(Path(dj.__file__).parent)


def shown(error: DetJupyterError, *words: str) -> str:
    """Return what IPython shows of ``error``, after checking that it says ``words`` and nothing of our own files."""
    text = "\n".join(error._render_traceback_())
    assert OURS not in text
    assert "detjupyter.loaded" not in text
    for word in words:
        assert word in text
    return text


def refused(kind: type[DetJupyterError], call: Callable[[], Any], *words: str) -> Any:
    """Return the error of ``call``, which is of exactly that kind, shows ``words``, and has a next step."""
    with pytest.raises(kind) as raised:
        call()
    assert type(raised.value) is kind
    assert raised.value.__context__ is None or raised.value.__suppress_context__
    shown(raised.value, *words)
    return raised.value


class TestEntrypoints:
    """What to load."""

    def test_an_unknown_module_is_named(self, line: Definition) -> None:
        """It names the module, the directory, and what there is."""
        error = refused(EntrypointError, lambda: line.load("model_deff:LineTrial"), "'model_deff'", str(line.root))
        assert "model_def:LineTrial" in error.hint

    def test_an_unknown_class_is_named_with_the_nearest(self, line: Definition) -> None:
        """It names the class, and the one that was meant."""
        error = refused(EntrypointError, lambda: line.load("model_def:LinTrial"), "'LinTrial'", "model_def")
        assert "LineTrial" in error.hint

    @pytest.mark.parametrize("text", ["model_def", "model_def.LineTrial", "model_def:", "a b:C", "model_def:Line Trial", ""])
    def test_a_malformed_entrypoint_is_shown_with_the_right_form(self, line: Definition, text: str) -> None:
        """It shows the text, and the form that is right."""
        error = refused(EntrypointError, lambda: line.load(text), repr(text))
        assert ":" in (error.hint or "")

    def test_a_class_that_is_no_trial(self, define: Callable[..., Definition]) -> None:
        """It says what the class is, and what to derive from."""
        plain = define(model_def="class Net: pass\n")
        error = refused(NotATrialError, lambda: plain.load("model_def:Net"), "'model_def:Net'", "not a Trial class")
        assert "PyTorchTrial" in error.hint

    def test_a_directory_without_a_model_definition(self, define: Callable[..., Definition]) -> None:
        """It names the directory and both ways on."""
        empty = define(notes="x = 1\n")
        error = refused(EntrypointError, empty.load, str(empty.root), "no model definition here")
        assert "model_def.py" in error.hint
        assert "path=" in error.hint

    def test_a_path_that_is_not_there(self, tmp_path: Path) -> None:
        """It names it as it was given, and in full."""
        error = refused(DefinitionNotFoundError, lambda: dj.load("a:B", path=tmp_path / "nowhere"), "nowhere", str(tmp_path))
        assert error.hint

    def test_a_device_that_is_not_there(self, line: Definition) -> None:
        """It lists those that are."""
        for device in ("cuda:99", "gpu"):
            error = refused(DeviceError, lambda device=device: line.load(device=device), repr(device))
            assert "cpu" in error.hint


class TestCode:
    """What the module says."""

    def test_a_syntax_error_shows_the_line(self, line: Definition) -> None:
        """File, number and text of it; also where a sibling is to blame."""
        line.edit("x, y = batch\n        loss", "x, y = = batch\n        loss")
        error = refused(DefinitionSyntaxError, lambda: line.load("model_def:LineTrial"), "model_def.py, line ", "x, y = = batch")
        assert error.hint
        line.write(other="from model_def import LineTrial\n")
        refused(DefinitionSyntaxError, lambda: line.load("other:LineTrial"), "model_def.py, line ", "x, y = = batch")

    def test_a_missing_hyperparameter_is_named(self, line: Definition) -> None:
        """It is named, those that are there are listed, and the line that asked is shown."""
        line.edit('context.get_hparams().get("lr", 0.01)', 'context.get_hparam("learning_rate")')
        words = ("'learning_rate'", "dropout, learn_rate", "model_def.py, line ", "get_hparam")
        error = refused(HyperparameterError, lambda: line.load(hparams={"learn_rate": 0.1, "dropout": 0.2}), *words)
        assert "'learn_rate'" in error.hint
        assert isinstance(error, ValueError)

    def test_a_missing_hyperparameter_in_a_batch(self, line: Definition) -> None:
        """The session fails with the same message as at the load."""
        line.edit("x, y = batch\n        loss", 'self.context.get_hparam("scale")\n        x, y = batch\n        loss')
        session = line.load()
        error = refused(TrialError, session.step, "'scale'", "model_def.py", "in train_batch", 'hparams={"scale": ')
        assert (type(session.error), str(session.error)) == (type(error), str(error))

    @pytest.mark.parametrize("where", ["__init__", "build_training_data_loader"])
    def test_a_missing_dataset_is_reported_with_the_users_line(self, line: Definition, where: str) -> None:
        """The file, the user's line, and where relative paths begin; the session can be trained once it is there."""
        statement = "__import__('pathlib').Path('numbers.txt').read_text()"
        spot = {
            "__init__": "self.context = context",
            "build_training_data_loader": "return DataLoader(TensorDataset(inputs, targets), batch_size=4",
        }
        line.edit(spot[where], f"self.numbers = {statement}\n        {spot[where]}")
        words = ("FileNotFoundError", "numbers.txt", "model_def.py", f"in {where}", f"start at its root, {line.root}.")
        if where == "__init__":
            refused(TrialError, line.load, *words)
            (line.root / "numbers.txt").write_text("1\n2\n", encoding="utf-8")
            session = line.load()
        else:
            session = line.load()
            session.train(epochs=1)
            refused(TrialError, lambda: session.wait(LIMIT_S), *words)
            assert session.state == "failed"
            (line.root / "numbers.txt").write_text("1\n2\n", encoding="utf-8")
        session.step()
        assert session.batches_trained == 1

    def test_an_exception_in_a_batch(self, line: Definition) -> None:
        """State failed, the user's frames and the one of torch that raised, and the way on."""
        line.edit("loss = ((self.model(x) - y) ** 2).mean()", "loss = self.loss(x, y)", "model_def")
        line.edit(
            "    def evaluate_batch", "    def loss(self, x, y):\n        return (self.model(x.T) - y).mean()\n\n    def evaluate_batch"
        )
        session = line.load()
        session.train(batches=3)
        error = refused(TrialError, lambda: session.wait(LIMIT_S), "RuntimeError in your code while training, after batch 0", "x.T")
        assert error.user_traceback.count("File ") == 3
        assert "torch" in error.user_traceback.rpartition("File ")[2]
        assert "in train_batch" in error.user_traceback
        assert "in loss" in error.user_traceback
        assert session.state == "failed"
        record = session.record().error
        assert record is not None
        assert (record.name, record.traceback) == ("RuntimeError", error.user_traceback)

    @pytest.mark.parametrize("statement", ["import sys; sys.exit(3)", "raise KeyboardInterrupt", "next(iter([]))"])
    def test_code_that_wants_to_leave_does_not(self, line: Definition, statement: str) -> None:
        """Not the kernel, not the thread, not the loop."""
        line.edit("x, y = batch\n        loss", f"{statement}\n        x, y = batch\n        loss")
        session = line.load()
        refused(TrialError, session.step, "model_def.py", "in train_batch")
        assert session.state == "failed"


class TestConfigs:
    """What the YAML says."""

    def test_yaml_that_does_not_parse(self, line: Definition) -> None:
        """File, line and column."""
        (line.root / "const.yaml").write_text("hyperparameters:\n  lr: 1\n bad: [\n", encoding="utf-8")
        error = refused(ConfigError, line.load, "const.yaml", "line 3", "column ")
        assert error.line == 3
        assert error.column is not None

    @pytest.mark.parametrize("seed", [-1, "7", 1.5, True])
    def test_a_seed_that_is_none(self, line: Definition, seed: Any) -> None:
        """By its value; in the config, too."""
        refused(ArgumentError, lambda: line.load(seed=seed), repr(seed))
        refused(ConfigError, lambda: line.load(seed=None, config={"reproducibility": {"experiment_seed": seed}}), repr(seed))


class TestOrder:
    """What comes before what."""

    def test_training_before_loading(self) -> None:
        """The magics ask for the current session; so may anybody."""
        error = refused(NoSessionError, dj.current_session, "Nothing is loaded")
        assert "dj.load(" in error.hint

    def test_a_second_training_while_one_runs(self, line: Definition) -> None:
        """The error names the current batch of the first training."""
        session = line.load()
        session.train(batches=LONG)
        error = refused(SessionBusyError, lambda: session.train(epochs=1), "running, at batch ")
        assert "session.stop()" in error.hint

    def test_loading_over_a_training(self, line: Definition) -> None:
        """It is refused, with the way to a second session."""
        line.load(name="mine").train(batches=LONG)
        error = refused(SessionBusyError, lambda: line.load(name="mine"), "'mine' is running")
        assert "name=" in error.hint
