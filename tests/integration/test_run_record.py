"""The record of a run is enough to repeat it."""

from __future__ import annotations

import gc
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
import torch
from support.python import run_python
from support.replay import Replay
from support.waiting import LIMIT_S, wait_until

import detjupyter as dj
from detjupyter.bundle import FileReport
from detjupyter.definition.model_definition import ModelDefinition
from detjupyter.errors import ArgumentError, SessionBusyError, SessionError, TrialError
from detjupyter.protocol.commands import MakeCheckpoint, Reload, Step
from detjupyter.widgets.card import card_bundle

if TYPE_CHECKING:
    from support.definition import Definition


def weights(session: Any) -> list[torch.Tensor]:
    """Return the weights of a session's trial."""
    return [parameter.detach().clone() for parameter in session.trial.model.parameters()]


class TestReplay:
    """From recipe and events alone, the same losses to the bit."""

    def test_everything_that_was_done_is_done_again(self, line: Definition, tmp_path: Path) -> None:
        """Steps, a refused command, a training that was stopped at some batch, a checkpoint, a restore, a reload, a function."""
        session = line.load(hparams={"dropout": 0.3, "shuffle": True, "lr": 0.02})
        session.step(3)
        with pytest.raises(SessionError):
            session.resume()
        session.train(batches=100_000, validate_every=7)
        while session.batches_trained < 20:  # where the stop comes is up to the scheduler: that is what the record is for
            session.at_batch(lambda _: None)
        session.pause()
        session.step(7 - session.batches_trained % 7 + 1)  # past the validation that may be due here
        session.stop()
        saved = session.checkpoint()
        session.train(epochs=1, wait=True)
        session.restore(saved)
        session.at_batch(lambda trial: trial.optimizer.param_groups[0].update(lr=0.5))
        session.step(4)
        line.edit("loss = ((self.model(x) - y) ** 2).mean()\n        self", "loss = ((self.model(x) - y) ** 4).mean()\n        self")
        session.reload()
        session.train(batches=9, wait=True)
        run = dj.run(session.run.id)
        again = Replay(run, tmp_path / "again").do()
        ours, theirs = session.metrics("loss"), again.metrics("loss")
        assert ours[0].tolist() == theirs[0].tolist()
        assert np.array_equal(ours[1], theirs[1])
        assert session.metrics("error", "validation")[1].tolist() == again.metrics("error", "validation")[1].tolist()
        assert all(torch.equal(one, other) for one, other in zip(weights(session), weights(again), strict=True))

    def test_reloads_in_a_paused_training_are_repeated(self, line: Definition, tmp_path: Path) -> None:
        """One without an edit, two with edits at one batch, one back to the code before; and validations at the batches of a long range."""
        session = line.load(hparams={"dropout": 0.3, "shuffle": True, "lr": 0.02})
        session.train(batches=100_000, validate_every=dj.Batch(range(4, 10**12, 4)))
        while session.batches_trained < 10:
            session.at_batch(lambda _: None)
        session.pause()
        session.step(4 - session.batches_trained % 4 + 1)  # past the validation that may be due here
        session.reload()
        session.step(4)
        line.edit("** 2).mean()\n        self", "** 4).mean()\n        self")
        session.reload()
        session.step(4)
        line.edit("** 4).mean()\n        self", "** 6).mean()\n        self")
        session.reload()
        line.edit("** 6).mean()\n        self", "** 4).mean()\n        self")
        session.reload()
        session.step(4)
        line.edit("** 4).mean()\n        self", "** 2).mean()\n        self")
        session.reload()
        session.resume()
        goal = session.batches_trained + 10
        while session.batches_trained < goal:
            session.at_batch(lambda _: None)
        session.pause()
        session.step(4 - session.batches_trained % 4 + 1)
        session.stop()
        run = dj.run(session.run.id)
        wait_until(lambda: len(run.code_versions) == 5, "the code of every reload with an edit")
        again = Replay(run, tmp_path / "again").do()
        ours, theirs = session.metrics("loss"), again.metrics("loss")
        assert ours[0].tolist() == theirs[0].tolist()
        assert np.array_equal(ours[1], theirs[1])
        assert session.metrics("error", "validation")[0].tolist() == again.metrics("error", "validation")[0].tolist()
        assert session.metrics("error", "validation")[1].tolist() == again.metrics("error", "validation")[1].tolist()
        assert all(torch.equal(one, other) for one, other in zip(weights(session), weights(again), strict=True))


class TestRepeat:
    """``dj.load(repeat=…)`` begins a run again."""

    VALUES: ClassVar[dict[str, Any]] = {"dropout": 0.3, "shuffle": True, "lr": 0.02}

    @staticmethod
    def repeated(run: dj.Run, warned: list[str], **given: Any) -> tuple[Any, list[float]]:
        """Return a session that repeats ``run`` and has trained as many batches, and its losses."""
        session = dj.load(repeat=run.id, warn=warned.append, **given)
        session.train(batches=run.record.batches_trained, wait=True)
        return session, session.metrics("loss")[1].tolist()

    def test_the_same_length_has_the_same_losses(self, line: Definition) -> None:
        """To the bit, and the session has its own run."""
        session = line.load(hparams=self.VALUES, seed=7)
        session.train(batches=25, wait=True)
        warned: list[str] = []
        again, losses = self.repeated(session.run, warned)
        assert losses == session.metrics("loss")[1].tolist()
        assert warned == []
        assert again.definition.root == line.root
        assert again.run.id != session.run.id
        assert again.run.recipe == session.run.recipe

    def test_after_an_edit_the_recorded_code_is_loaded(self, line: Definition) -> None:
        """And a sentence says so; it is deleted with the session. Edited during the run, the run began with the code before."""
        (line.root / "const.yaml").write_text("hyperparameters: {lr: 0.03}\n")
        session = line.load(seed=7)
        session.train(batches=20, wait=True)
        losses = session.metrics("loss")[1].tolist()
        run = session.run
        line.edit("** 2).mean()\n        self", "** 4).mean()\n        self")
        session.reload()
        session.step(2)
        (line.root / "const.yaml").write_text("hyperparameters: {lr: 0.5}\n")
        warned: list[str] = []
        again, repeated = self.repeated(run, warned)
        assert repeated[:20] == losses
        assert [run.id in text for text in warned] == [True]
        root = again.definition.root
        assert root != line.root
        assert root.is_dir()
        again.close()
        del again
        wait_until(lambda: gc.collect() >= 0 and not root.exists(), "the end of the recorded code")

    def test_a_forked_child_that_ends_leaves_the_recorded_code(self, line: Definition) -> None:
        """It runs the exit handlers of its parent, whose session still needs the code."""
        session = line.load(seed=7)
        session.step(1)
        run_id = session.run.id
        session.close()
        line.edit("** 2).mean()\n        self", "** 4).mean()\n        self")
        run_python(f"""
            import os, sys
            import detjupyter as dj
            session = dj.load(repeat={run_id!r})
            assert session.definition.root.is_dir()
            child = os.fork()
            if not child:
                sys.exit()
            os.waitpid(child, 0)
            assert session.definition.root.is_dir(), "deleted"
        """)

    def test_a_definition_that_was_deleted_or_moved_is_loaded_from_its_record(self, line: Definition) -> None:
        """Also one of a single file."""
        for path in (line.root, line.root / "model_def.py"):
            session = dj.load(path=path, seed=3, device="cpu", name=path.name)
            session.train(batches=5, wait=True)
            line.root.rename(line.root.with_name("moved"))
            _, losses = self.repeated(session.run, [])
            assert losses == session.metrics("loss")[1].tolist()
            line.root.with_name("moved").rename(line.root)

    def test_a_config_that_was_edited_elsewhere_is_the_recorded_one(self, line: Definition, tmp_path: Path) -> None:
        """A file outside of the definition does not ship, so only its content is recorded; so are the values of a dict."""
        config = tmp_path / "elsewhere.yaml"
        for given in (config, {"hyperparameters": {"lr": {"type": "double", "minval": 0.01, "maxval": 0.1}}}):
            config.write_text("hyperparameters: {lr: 0.03}\n")
            session = line.load(config=given)
            session.train(batches=5, wait=True)
            config.write_text("hyperparameters: {lr: 0.5}\n")
            again, losses = self.repeated(session.run, [])
            assert losses == session.metrics("loss")[1].tolist()
            assert again.run.hyperparameters == session.run.hyperparameters

    def test_the_setting_of_the_cell_that_loaded_first_counts(self, line: Definition) -> None:
        """The default device, for example; those of the cell that repeats do not."""
        session = line.load(seed=7)
        session.train(batches=3, wait=True)
        with torch.device("meta"):
            _, losses = self.repeated(session.run, [])
        assert losses == session.metrics("loss")[1].tolist()

    def test_a_run_that_continued_another_one_says_so(self, line: Definition) -> None:
        """Its weights were those of a checkpoint."""
        first = line.load(name="first")
        first.step(3)
        second = line.load(name="second")
        second.restore(first.checkpoint())
        second.step(1)
        warned: list[str] = []
        dj.load(repeat=second.run, warn=warned.append)
        assert [f"continued {first.run.id} after batch 3" in text for text in warned] == [True]

    @pytest.mark.parametrize("given", [{"seed": 3}, {"path": "/"}, {"hparams": {"lr": 1.0}}, {"from_run": "latest"}, {"compile": True}])
    def test_what_contradicts_the_record_is_refused(self, line: Definition, given: dict[str, Any]) -> None:
        """Instead of being ignored; a recipe in place of an entrypoint gets the call that works."""
        session = line.load()
        session.step(1)
        with pytest.raises(ArgumentError, match=f"these cannot be given: {next(iter(given))}"):
            dj.load(repeat=session.run.id, **given)
        with pytest.raises(ArgumentError) as caught:
            dj.load(session.run.recipe)
        assert "repeat" in str(caught.value.hint)


class TestCode:
    """Which code trained from which batch on."""

    def test_code_that_is_kept_late_is_that_which_was_loaded(self, line: Definition, monkeypatch: pytest.MonkeyPatch) -> None:
        """The files were edited and loaded again before anything was read: both versions are there, and a checkpoint has the newer."""
        session = line.load()
        session.step(2)
        may_read = threading.Event()
        files = ModelDefinition.files

        def slow(definition: ModelDefinition) -> FileReport:
            if threading.current_thread().name == "detjupyter code":
                assert may_read.wait(LIMIT_S)
            return files(definition)

        monkeypatch.setattr(ModelDefinition, "files", slow)
        for power in (4, 6):
            line.edit(f"** {power - 2}).mean()\n        self", f"** {power}).mean()\n        self")
            session.send(Reload()).result(LIMIT_S)
            session.send(Step(2)).result(LIMIT_S)
        saving = session.send(MakeCheckpoint())
        may_read.set()
        saved = saving.result(LIMIT_S)
        run = dj.run(session.run.id)
        wait_until(lambda: len(run.code_versions) == 3, "the code of both reloads")
        assert [(one.batches_trained, one.load) for one in run.code_versions] == [(0, 0), (2, 1), (4, 2)]
        for batch, power in ((1, 2), (3, 4), (5, 6)):
            assert f"** {power}).mean()\n        self" in run.code_after(batch)["model_def.py"].decode()
        assert "** 6).mean()\n        self" in (Path(saved.path) / "code" / "model_def.py").read_text()

    def test_a_reload_is_recorded_with_the_hash_of_its_code(self, line: Definition) -> None:
        """The same code has the same hash, edited code another."""
        session = line.load()
        session.step(1)
        session.reload()
        line.edit("** 2).mean()\n        self", "** 4).mean()\n        self")
        session.reload()
        session.reload()
        first, second, third = (one["details"] for one in session.run.commands if one["command"] == "reload")
        assert [one["load"] for one in (first, second, third)] == [1, 2, 3]
        assert first["code"] != second["code"] == third["code"]


class TestCommands:
    """What was asked, with all arguments, from where, at which batch it took effect, and the outcome."""

    def test_each_is_recorded_with_its_outcome(self, line: Definition) -> None:
        """A refused command is never recorded as done."""
        session = line.load()
        session.step(2)
        with pytest.raises(SessionError):
            session.resume()
        session.train(batches=100_000_000)
        with pytest.raises(SessionBusyError):
            session.train(batches=1)
        session.stop()
        reported = [(one["command"], one["outcome"], one["origin"]) for one in session.run.events() if one["kind"] == "command"]
        assert reported == [
            ("step", "done", "script"),
            ("resume", "refused", "script"),
            ("train", "done", "script"),
            ("train", "refused", "script"),
            ("stop", "done", "script"),
        ]
        step, _, train, *_ = session.run.commands
        assert (step["arguments"], step["at_batch"], step["answered_at_batch"]) == ({"batches": 2}, 0, 2)
        assert (train["arguments"]["length"], train["at_batch"]) == ({"kind": "batches", "value": 100_000_000}, 2)

    def test_one_that_fails_says_what_failed(self, line: Definition) -> None:
        """The record has the error of the user's code, not a refusal."""
        line.edit("x, y = batch\n        loss", "x, y = batch, unknown\n        loss")
        session = line.load()
        with pytest.raises(TrialError):
            session.step()
        (command,) = session.run.commands
        assert (command["outcome"], command["at_batch"]) == ("failed", 0)
        assert command["error"] == "NameError in your code while training, after batch 0."

    def test_a_function_is_recorded_by_its_source(self, line: Definition) -> None:
        """A lambda by its expression, a function by its definition."""
        session = line.load()
        session.step()

        def double(trial: Any) -> float:
            return float(trial.context.current_train_batch() * 2)

        assert session.at_batch(lambda _: 40 + 2) == 42
        assert session.at_batch(double) == 0.0
        sources = [one["arguments"]["source"] for one in session.run.commands if one["command"] == "at_batch"]
        assert sources[0] == "lambda _: 40 + 2"
        assert sources[1].startswith("def double(trial")

    def test_the_trial_itself_is_an_origin(self, line: Definition) -> None:
        """A command that a batch sends is the trial's."""
        line.edit(
            "x, y = batch\n        loss",
            "import detjupyter as dj\n        from detjupyter.protocol.commands import Pause\n"
            "        dj.current_session().send(Pause())\n        x, y = batch\n        loss",
        )
        session = line.load()
        session.train(batches=5)
        session.wait(LIMIT_S)
        session.at_batch(lambda _: None)  # the record of the pause comes after its state
        assert [one["origin"] for one in session.run.commands if one["command"] == "pause"] == ["trial"]


class TestRecipe:
    """Everything that is needed to load the trial again."""

    def test_it_is_part_of_the_run(self, line: Definition) -> None:
        """As chosen: the entrypoint and the seed too, and the versions of Python and the packages."""
        session = line.load(hparams={"lr": 0.02})
        session.step()
        record = dj.run(session.run.id).record
        recipe = record.recipe
        assert recipe is not None
        assert (recipe.entrypoint, recipe.path, recipe.hparams, recipe.seed, recipe.device) == (
            "model_def:LineTrial",
            str(line.root),
            {"lr": 0.02},
            1,
            "cpu",
        )
        assert {"python", "torch", "numpy", "detjupyter"} <= set(record.versions)

    def test_one_that_no_longer_loads_says_why(self, line: Definition) -> None:
        """The definition has moved: one clear error."""
        session = line.load()
        session.step()
        recipe = session.run.recipe
        line.root.rename(line.root.with_name("moved"))
        with pytest.raises(dj.DetJupyterError, match="no directory"):
            dj.load(recipe.entrypoint, path=recipe.path, seed=recipe.seed)

    def test_values_that_a_reload_changes_count_from_that_batch(self, line: Definition) -> None:
        """The run tells both, and when."""
        (line.root / "const.yaml").write_text("hyperparameters: {lr: 0.003}\n")
        session = line.load()
        session.step(3)
        (line.root / "const.yaml").write_text("hyperparameters: {lr: 0.0001}\n")
        session.reload()
        session.step(1)
        run = dj.run(session.run.id)
        assert run.record.hyperparameters == {"lr": 0.003}
        assert run.hyperparameters == {"lr": 0.0001}
        (change,) = run.hyperparameter_changes
        assert (change.name, change.before, change.now, change.batches_trained) == ("lr", 0.003, 0.0001, 3)
        card = session.card()
        assert card_bundle(card)["text/plain"].count("0.003 → 0.0001 at 3") == 1
        assert "0.003 → 0.0001 at 3" in card_bundle(card)["text/html"]


class TestARestore:
    """The record of a run in which, or before which, a checkpoint was restored."""

    def test_gives_up_the_future_at_once(self, line: Definition) -> None:
        """Curves of training and validation, and the newest values, end at the checkpoint, and come back with a later one."""
        session = line.load()
        session.step(2)
        session.validate()
        early = session.checkpoint()
        session.step(3)
        session.validate()
        late = session.checkpoint()
        losses = session.metrics("loss")[1].tolist()
        session.restore(early)
        assert session.metrics("loss")[0].tolist() == [1, 2]
        assert session.metrics("error", "validation")[0].tolist() == [2]
        assert session.record().latest["training"]["loss"] == losses[1]
        session.restore(late)
        assert session.metrics("loss")[1].tolist() == losses
        assert session.metrics("error", "validation")[0].tolist() == [2, 5]
        session.restore(early)
        session.step(1)
        assert session.metrics("loss")[0].tolist() == [1, 2, 3]
        assert session.metrics("error", "validation")[0].tolist() == [2]
        assert dj.run(session.run.id).metrics("error", "validation")[0].tolist() == [2]

    def test_names_the_parent_of_a_run(self, line: Definition) -> None:
        """The run and the batch that it continues; a run that continues no other has none, also if it restores its own checkpoint."""
        first = line.load(name="first")
        first.step(3)
        saved = first.checkpoint()
        first.restore(saved)
        assert first.run.parent is None
        second = line.load(name="second")
        second.restore(saved)
        second.step(1)
        assert second.run.parent == (first.run.id, 3)
        assert dj.run(second.run.id).parent == (first.run.id, 3)


def test_a_name_with_control_characters_is_spelled_out(line: Definition) -> None:
    """In the text form of a session and of its run, and in the session's summary."""
    session = line.load(name="a\x1b[31m\nb")
    session.train(batches=1, wait=True)
    assert repr(session).startswith(r"<Session a\x1b[31m\x0ab: model_def:LineTrial on cpu, finished")
    for text in (repr(session), repr(session.run)):
        assert text.isprintable()
    session.close()
