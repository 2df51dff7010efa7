"""Several sessions in one process: they do not mix, and none of them blocks the others."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.bench import LONG
from support.definition import Definition
from support.waiting import LIMIT_S, wait_until

import detjupyter as dj
from detjupyter.engine import active_trial, settings
from detjupyter.errors import SessionError
from detjupyter.protocol.commands import AtBatch, MakeCheckpoint, Pause, Reload, Restore, Validate
from detjupyter.scripts.running import run_script


class TestTurns:
    """Trials that need different settings of the process take turns."""

    def test_two_sessions_train_by_turns(self, line: Definition) -> None:
        """This includes two that need different default dtypes, while neither gets a command."""
        ours = line.load(name="ours")
        line.edit("inputs =", "torch.set_default_dtype(torch.float64)\ninputs =")
        theirs = line.load(name="theirs")
        for session in (ours, theirs):
            session.train(batches=LONG)
        wait_until(lambda: min(ours.batches_trained, theirs.batches_trained) > 50, "batches of both")
        for session in (ours, theirs):
            session.stop()
        assert {str(parameter.dtype) for parameter in theirs.trial.model.parameters()} == {"torch.float64"}
        assert {str(parameter.dtype) for parameter in ours.trial.model.parameters()} == {"torch.float32"}

    def test_a_trial_that_was_given_up_holds_nobody_up(self, line: Definition) -> None:
        """Its thread may be stuck forever; the next session trains."""
        line.edit(
            "inputs =",
            "import threading\ntorch.set_default_dtype(torch.float64)\nstuck, go = threading.Event(), threading.Event()\ninputs =",
        )
        line.edit("        x, y = batch\n        loss", "        stuck.set()\n        go.wait()\n        x, y = batch\n        loss")
        session = line.load(name="stuck")
        stuck = session.trial.train_batch.__globals__["stuck"]
        go = session.trial.train_batch.__globals__["go"]
        session.train(batches=LONG)
        assert stuck.wait(LIMIT_S)
        session.close(force=True)
        assert session.run.state == "interrupted"
        line.edit("        stuck.set()\n        go.wait()\n", "")
        line.edit("torch.set_default_dtype(torch.float64)\n", "")
        other = line.load(name="other")
        other.train(batches=5, wait=True)
        assert other.state == "finished"
        go.set()

    def test_a_trial_may_train_another_one(self, line: Definition, define: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
        """The outer trial waits for the inner one inside a batch; after a while the inner trial takes its turn without waiting."""
        monkeypatch.setattr(settings, "TURN_LIMIT_S", 0.05)
        for module in (settings, active_trial):
            monkeypatch.setattr(module, "ENGINE_LIMIT_S", 0.05)
        inner = define("inner")
        line.edit(
            "        x, y = batch\n        loss",
            "        if batch_idx == 0:\n            import detjupyter as dj\n"
            f"            one = dj.load('model_def:LineTrial', path={str(inner.root)!r}, seed=1, device='cpu', name='inner')\n"
            "            one.train(batches=3, wait=True)\n        x, y = batch\n        loss",
        )
        line.edit("inputs =", "torch.set_default_dtype(torch.float64)\ninputs =")
        outer = line.load(name="outer")
        outer.train(batches=2, wait=True)
        assert (outer.state, dj.current_session().state) == ("finished", "finished")


class TestCodeInTheForeground:
    """A training in the background, and a script or a load that sets defaults of the whole process."""

    @pytest.fixture
    def training(self, line: Definition, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Begin a training that notes the default dtype of each batch; its engine would wait for another trial for a moment only."""
        for module in (settings, active_trial):
            monkeypatch.setattr(module, "ENGINE_LIMIT_S", 0.05)
        line.edit(
            "        x, y = batch\n        loss", "        self.seen.append(torch.get_default_dtype())\n        x, y = batch\n        loss"
        )
        line.edit("        self.context = context\n", "        self.context = context\n        self.seen = []\n")
        session = line.load(name="background")
        session.train(batches=LONG)
        wait_until(lambda: session.batches_trained > 1, "batches")
        yield session
        assert session.state == "running"
        trained = session.batches_trained
        wait_until(lambda: session.batches_trained > trained + 50, "batches")
        session.stop()
        # One batch can be under way when it is set.
        assert session.trial.seen.count(torch.float32) >= len(session.trial.seen) - 1
        session.close()

    def test_a_script_sets_them_and_the_training_waits(self, training: Any, tmp_path: Path) -> None:
        """It continues afterwards, with its own."""
        (tmp_path / "script.py").write_text(
            "import time, torch\ntorch.set_default_dtype(torch.float64)\ntime.sleep(0.5)\nassert torch.zeros(1).dtype is torch.float64\n"
        )
        run_script(tmp_path / "script.py")
        assert any("Waits for the script script.py" in text.text for text in training.channel.log(0)[1])

    @pytest.mark.parametrize("where", ["import torch\n", "        self.context = context\n"], ids=["at import", "in __init__"])
    def test_a_definition_sets_them_while_it_is_loaded(self, training: Any, define: Callable[..., Any], where: str) -> None:
        """Slowly, so that many batches could notice it."""
        del training
        other = define("other")
        indent = " " * (len(where) - len(where.lstrip()))
        other.edit(
            where,
            f"{where}{indent}import time\n{indent}torch.set_default_dtype(torch.float64)\n{indent}time.sleep(0.3)\n",
        )
        loaded = other.load(name="other")
        assert loaded.trial.model[0].weight.dtype == torch.float64

    def test_a_slow_load_that_sets_nothing_leaves_the_training_alone(self, training: Any, define: Callable[..., Any]) -> None:
        """A notebook loads the next definition while the first one trains."""
        other = define("other")
        other.edit("import torch\n", "import time, torch\ntime.sleep(1)\n")
        before = training.batches_trained
        other.load(name="other")
        assert training.batches_trained > before + 50


class TestOrder:
    """Commands take effect in the order in which they were taken on, so that the record can be repeated."""

    @pytest.fixture
    def held(self, line: Definition) -> Any:
        """Return a session whose engine waits until several commands are in its inbox."""
        session = line.load()
        session.step(2)
        began, go = threading.Event(), threading.Event()

        def hold(_: object) -> None:
            began.set()
            assert go.wait(LIMIT_S)

        first = session.send(AtBatch("hold", hold))
        assert began.wait(LIMIT_S)
        yield session, go
        go.set()
        first.result(LIMIT_S)

    def test_a_function_comes_after_what_was_asked_for_before(self, held: Any) -> None:
        """A checkpoint and a validation are of the trial as it was."""
        session, go = held
        before = session.trial.model[0].weight.detach().clone()
        saved, validated = session.send(MakeCheckpoint()), session.send(Validate())
        zeroed = session.send(AtBatch("zero", lambda trial: trial.model[0].weight.data.zero_()))
        again = session.send(Validate())
        go.set()
        checkpoint, metrics = saved.result(LIMIT_S), validated.result(LIMIT_S)
        zeroed.result(LIMIT_S)
        assert again.result(LIMIT_S) != metrics
        session.restore(checkpoint)
        assert bool((session.trial.model[0].weight == before).all())

    def test_a_reload_and_a_restore_do_too(self, line: Definition, held: Any) -> None:
        """The validation runs with the old code; a checkpoint requested before a restore is of the batch before it."""
        session, go = held
        first = session._keeper  # the engine is held: only what needs no answer is called
        assert first.recorder.run_id is not None
        line.edit('"error"', '"other"')
        validated, reloaded = session.send(Validate()), session.send(Reload())
        go.set()
        assert set(validated.result(LIMIT_S)) == {"error"}
        reloaded.result(LIMIT_S)
        assert set(session.validate()) == {"other"}
        early = session.checkpoint()
        session.step(3)
        saved = session.send(MakeCheckpoint())
        restored = session.send(Restore(early.path))
        assert saved.result(LIMIT_S).batches_trained == 5
        restored.result(LIMIT_S)
        assert session.batches_trained == 2

    def test_senders_that_never_pause_starve_nothing(self, line: Definition) -> None:
        """Batches are trained between their commands."""
        session, end = line.load(), threading.Event()

        def send() -> None:
            while not end.is_set():
                session.at_batch(lambda _: None)

        senders = [threading.Thread(target=send) for _ in range(4)]
        for sender in senders:
            sender.start()
        try:
            session.step(2)
            session.train(batches=20)
            session.wait(LIMIT_S)
        finally:
            end.set()
            for sender in senders:
                sender.join(LIMIT_S)
        assert (session.state, session.batches_trained) == ("finished", 22)


class TestLongMessages:
    """What an exception says is kept within bounds."""

    def test_the_middle_of_a_very_long_one_is_left_out(self, line: Definition) -> None:
        """Records and views hold it."""
        line.edit("        x, y = batch\n        loss", "        raise ValueError('a' * 5_000_000 + 'the end')\n        loss")
        session = line.load()
        with pytest.raises(dj.DetJupyterError) as raised:
            session.step()
        assert len(str(raised.value)) < 100_000
        assert "the end" in str(raised.value)
        session.at_batch(lambda _: None)
        assert all(len(str(event)) < 200_000 for event in session.run.events())


def test_a_pause_overtakes_nothing_that_was_done(line: Definition) -> None:
    """Sent together with a training it holds the training at once."""
    session = line.load()
    session.train(batches=LONG)
    assert session.send(Pause()).result(LIMIT_S) is None
    assert session.state == "paused"


class TestSeveralSessions:
    """Side by side."""

    def test_two_train_at_the_same_time_and_do_not_mix(self, define: Callable[..., Definition]) -> None:
        """Each has its code, its weights, its curves, its log and its run."""
        first, second = define("first"), define("second")
        second.edit("targets = 2 * inputs + 1", "targets = -3 * inputs")
        for definition in (first, second):
            definition.edit("x, y = batch\n        loss", f"x, y = batch\n        print('{definition.root.name}', batch_idx)\n        loss")
        sessions = [first.load(), second.load()]
        for session in sessions:
            session.train(batches=150)
        for session, name in zip(sessions, ("first", "second"), strict=True):
            assert session.wait(LIMIT_S) == "finished"
            assert session.session_id == name
            assert [line.text for line in session.run.log()] == [f"{name} {index}" for index in range(150)]
            assert session.metrics("loss")[0].tolist() == list(range(1, 151))
        assert sessions[0].run.id != sessions[1].run.id
        slopes = [
            session.at_batch(lambda trial: (trial.model(torch.ones(1, 1)) - trial.model(-torch.ones(1, 1))).item()) for session in sessions
        ]
        assert slopes[0] > 0 > slopes[1]

    def test_a_session_that_nobody_holds_is_collected(self, line: Definition) -> None:
        """With its model: loading again and again does not fill the GPU."""
        session = line.load(name="mine")
        session.step(3)
        session.validate()
        model = weakref.ref(session.trial.model)
        del session
        line.load(name="mine")
        gc.collect()
        assert model() is None

    def test_loading_again_under_the_same_name_ends_what_was_held(self, line: Definition) -> None:
        """A session that was left paused after a step has no thread and no live run any more, and takes no command."""
        before = set(threading.enumerate())
        session = line.load(name="mine")
        session.step(1)
        again = line.load(name="mine")
        assert again is not session
        assert session.state == "stopped"
        assert session.run.state == "stopped"
        new = [thread.name for thread in threading.enumerate() if thread not in before]
        assert [name for name in new if name.startswith("detjupyter")] == ["detjupyter mine"]
        with pytest.raises(SessionError, match="closed"):
            session.step(1)
