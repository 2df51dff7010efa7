"""Real trials, trained: metrics, validation, reloading, failures, reproducibility."""

from __future__ import annotations

import gc
import multiprocessing
import shutil
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from detjupyter.errors import CheckpointError, DefinitionSyntaxError, TrialError
from detjupyter.protocol.commands import Command, Step, Validate
from detjupyter.pytorch import Reducer
from detjupyter.pytorch.host import column, stack
from detjupyter.pytorch.reducer import reduce_metrics

if TYPE_CHECKING:
    from integration.conftest import Definition

LIMIT_S = 60.0
LONG = 1_000_000_000
QUICKSTART = Path(__file__).parents[2] / "notebooks" / "quickstart"


def weights(session: Any) -> list[torch.Tensor]:
    """Return a copy of the model's parameters."""
    return [parameter.detach().clone() for parameter in session.trial.model.parameters()]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    """Return whether two sets of weights are equal to the bit."""
    return all(torch.equal(mine, theirs) for mine, theirs in zip(one, other, strict=True))


class TestReducers:
    """How validation metrics become one number."""

    @pytest.mark.parametrize(
        ("reducer", "expected"), [(Reducer.AVG, 29.9 / 6), (Reducer.SUM, 29.9), (Reducer.MAX, 25.5), (Reducer.MIN, 0.25)]
    )
    def test_determineds_own_vectors(self, reducer: Reducer, expected: float) -> None:
        """A plain average over batches, sum, largest, smallest."""
        stacked = {"metric": stack([torch.tensor(value) for value in (0.25, 0.5, 0.75, 1, 25.5, 1.9)])}
        assert reduce_metrics(stacked, reducer)["metric"] == pytest.approx(expected)
        assert reduce_metrics(stacked, {"metric": reducer})["metric"] == pytest.approx(expected)

    def test_all_elements_count(self) -> None:
        """A metric that is a vector in each batch becomes one number, too."""
        stacked = {"metric": stack([np.array([1.0, 2.0]), np.array([3.0, 6.0])])}
        assert reduce_metrics(stacked, Reducer.AVG) == {"metric": 3.0}

    def test_reducers_for_other_metrics_are_refused(self) -> None:
        """Both lists are named; so is what is no reducer."""
        with pytest.raises(TrialError, match=r"\['loss'\].*\['error'\]"):
            reduce_metrics({"error": np.zeros(1)}, {"loss": Reducer.AVG})
        with pytest.raises(TrialError, match="'mean' for 'error'") as raised:
            reduce_metrics({"error": np.zeros(1)}, {"error": "mean"})  # type: ignore[dict-item]
        assert "Reducer.AVG" in (raised.value.hint or "")


class TestColumns:
    """Training metrics of many batches, brought to the host."""

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            ([torch.tensor(1.0), torch.tensor(2.0)], [1, 2]),
            ([torch.tensor([1.0, 3.0]), torch.tensor([5.0, 7.0])], [2, 6]),
            ([torch.tensor([1.0, 3.0]), torch.tensor([5.0])], [2, 5]),
            ([torch.tensor(True), torch.tensor(False)], [1, 0]),
            ([torch.tensor(1.0, dtype=torch.bfloat16), torch.tensor(2, dtype=torch.int8)], [1, 2]),
            ([1, 2.5], [1, 2.5]),
            ([1, torch.tensor(2.0)], [1, 2]),
            ([None, torch.tensor(2.0), None], [np.nan, 2, np.nan]),
            ([np.float32(1.5), np.array([2.0, 3.0])], [1.5, 2.5]),
            (["text", 2.0], [np.nan, 2]),
            ([float("inf"), float("nan")], [np.inf, np.nan]),
            (["text", "more"], None),
            ([None, None], None),
            ([{"a": 1}, {"a": 2}], None),
            ([torch.zeros(0), torch.zeros(0)], None),
            ([[torch.ones(1, requires_grad=True) * 2], [torch.ones(1, requires_grad=True) * 2]], None),
        ],
    )
    def test_whatever_the_trial_returns(self, values: list[Any], expected: list[float] | None) -> None:
        """Numbers of all kinds; the mean of several; NaN where there is none; nothing at all for text."""
        found = column(values)
        if expected is None:
            assert found is None
        else:
            assert found is not None
            np.testing.assert_array_equal(found, np.array(expected, dtype=np.float64))


class Transfers(TorchDispatchMode):
    """Count what reads values of tensors on the host, below Python: ``.item()``, ``float()``, and copies between devices or types."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note the operation, and do it."""
        del types
        self.count[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


class TestMetricsStayOnTheDevice:
    """One transfer for each metric and report, not one for each batch."""

    def test_no_value_is_read_per_batch(self, line: Definition, monkeypatch: pytest.MonkeyPatch) -> None:
        """Below Python, a training of 200 batches reads tensors' values as often as it reports, times its metrics."""
        monkeypatch.setattr("detjupyter.training.loop.REPORT_INTERVAL_S", 1e9)
        line.edit('return {"loss": loss}', 'return {"loss": loss, "twice": 2 * loss}')
        session = line.load()
        adapter = session._loaded.adapter
        # The optimizer's own bookkeeping aside: Adam keeps its step counters on the host and reads them there.
        reads: list[int] = []
        with Transfers() as transfers:
            rows = [adapter.train_batch(index)[0] for index in range(200)]
            reads.append(transfers.count["_local_scalar_dense"])
            transfers.count.clear()
            columns = adapter.fetch(rows)
        assert all(isinstance(value, torch.Tensor) and not value.requires_grad for row in rows for value in row.values())
        assert {name: values.shape for name, values in columns.items()} == {"loss": (200,), "twice": (200,)}
        assert transfers.count["stack"] == 2
        assert transfers.count["_local_scalar_dense"] == 0
        parameters = len(list(session.trial.model.parameters()))
        assert reads[0] <= 200 * parameters + 50  # Adam's counters, once per parameter, and the sampler's seeds; not one more per metric

    def test_each_report_copies_each_metric_once(self, line: Definition, monkeypatch: pytest.MonkeyPatch) -> None:
        """Counted where a tensor is brought to the host."""
        monkeypatch.setattr("detjupyter.training.loop.REPORT_INTERVAL_S", 1e9)
        copied: list[tuple[int, ...]] = []
        cpu = torch.Tensor.cpu

        def spy(tensor: torch.Tensor) -> torch.Tensor:
            copied.append(tuple(tensor.shape))
            return cpu(tensor)

        monkeypatch.setattr(torch.Tensor, "cpu", spy)
        session = line.load()
        session.step(50)
        assert copied == [(50,)]
        session.train(batches=30, validate_every=10, wait=True)
        assert copied[1:] == [(10,), (2,)] * 3  # ten losses, then the errors of two validation batches

    def test_a_held_metric_holds_no_graph(self, line: Definition) -> None:
        """What waits for the next report is detached, or it would keep every batch's activations."""
        adapter = line.load()._loaded.adapter
        metrics, _ = adapter.train_batch(0)
        assert metrics["loss"].grad_fn is None


class TestValidation:
    """Evaluation mode, without gradients, and back."""

    def test_models_are_in_evaluation_mode_and_come_back_as_they_were(self, line: Definition) -> None:
        """A layer that the user froze stays frozen."""
        line.edit(
            "x, y = batch\n        return",
            "x, y = batch\n        self.seen = (self.model.training, torch.is_grad_enabled())\n        return",
        )
        session = line.load(hparams={"dropout": 0.5})
        session.step(1)
        session.at_batch(lambda trial: trial.model[0].eval())
        session.validate()
        assert session.trial.seen == (False, False)
        assert [module.training for module in session.trial.model] == [False, True, True]
        assert session.trial.model.training

    def test_gradients_are_on_again_between_two_validation_batches(self, line: Definition) -> None:
        """Something else may run there in the same thread."""
        session = line.load()
        steps = session._loaded.adapter.validate()
        next(steps)
        assert torch.is_grad_enabled()
        assert not session.trial.model.training
        steps.close()
        assert session.trial.model.training

    def test_models_come_back_after_a_validation_that_fails(self, line: Definition) -> None:
        """The training can go on after a fix."""
        line.edit('return {"error"', 'raise ValueError("bad")\n        return {"error"')
        session = line.load()
        with pytest.raises(TrialError, match="ValueError: bad"):
            session.validate()
        assert session.trial.model.training

    def test_the_whole_data_at_once(self, line: Definition) -> None:
        """evaluate_full_dataset gets torch's loader; tensors it returns come to the host."""
        line.edit(
            "    def evaluate_batch(self, batch):",
            "    def evaluate_full_dataset(self, data_loader):\n"
            "        assert not torch.is_grad_enabled()\n"
            "        return {'batches': len(data_loader), 'error': next(self.model.parameters()).sum(), 'all': torch.ones(3)}\n\n"
            "    def unused(self, batch):",
        )
        session = line.load()
        metrics = session.validate()
        assert metrics["batches"] == 2
        assert isinstance(metrics["error"], np.ndarray)
        assert session.metrics("error", "validation")[1].shape == (1,)

    @pytest.mark.parametrize(
        ("returned", "words"),
        [
            ("5", "returns a dict of metrics"),
            ("{'error': None}", "is a number of one shape"),
            ("{'error': 'text'}", "is a number of one shape"),
            ("{'error': torch.zeros(len(x), int(x[0] > -1) + 1)}", "is a number of one shape"),
            ("{'a' if x[0] == -1 else 'b': 1.0}", "the same metrics for every batch"),
        ],
    )
    def test_what_is_no_metric_is_refused(self, line: Definition, returned: str, words: str) -> None:
        """The message says what is expected and what came."""
        line.edit('return {"error": ((self.model(x) - y) ** 2).mean()}', f"return {returned}")
        with pytest.raises(TrialError, match=words):
            line.load().validate()

    @pytest.mark.parametrize("returned", ["5", "[loss]", "None"])
    def test_a_training_metric_is_the_loss_or_a_dict(self, line: Definition, returned: str) -> None:
        """Nothing else."""
        line.edit('return {"loss": loss}', f"return {returned}")
        with pytest.raises(TrialError, match="returns the loss or a dict of metrics"):
            line.load().step()

    def test_the_loss_alone_is_called_loss(self, line: Definition) -> None:
        """A tensor instead of a dict."""
        line.edit('return {"loss": loss}', "return loss")
        session = line.load()
        session.step(3)
        assert session.metrics("loss")[0].tolist() == [1, 2, 3]

    @pytest.mark.parametrize(("method", "call"), [("training", "step"), ("validation", "validate")])
    def test_a_loader_of_torchs_own_needs_the_opt_out(self, line: Definition, method: str, call: str) -> None:
        """The message names it; with it, any iterable will do."""
        size = {"training": 'batch_size=4, shuffle=self.context.get_hparams().get("shuffle", False)', "validation": "batch_size=20"}[method]
        line.edit(f"return DataLoader(TensorDataset(inputs, targets), {size})", "return [(inputs, targets)]")
        with pytest.raises(TrialError, match=r"detjupyter\.pytorch\.DataLoader") as raised:
            getattr(line.load(), call)()
        assert "disable_dataset_reproducibility_checks" in (raised.value.hint or "")
        line.edit("self.context = context", "self.context = context; context.experimental.disable_dataset_reproducibility_checks()")
        getattr(line.load(), call)()


class TestCheckpoints:
    """Weights, optimizer and random states, on disk and back."""

    @pytest.mark.parametrize("hparams", [{}, {"dropout": 0.5}])
    def test_a_restored_trial_goes_on_as_if_nothing_had_been(self, line: Definition, hparams: dict[str, Any]) -> None:
        """To the bit: the weights, and with data in its own order the next losses, dropout included."""
        session = line.load(hparams=hparams)
        session.step(13)
        saved = session.checkpoint()
        at_checkpoint = weights(session)
        session.step(9)
        first = session.metrics("loss")[1][13:]
        session.restore(saved)
        assert same(weights(session), at_checkpoint)
        session.step(9)
        assert session.metrics("loss")[1][13:].tolist() == first.tolist()

    def test_a_validation_does_not_change_the_training_around_it(self, line: Definition) -> None:
        """To the bit, dropout included: looking at a training is free."""

        def run(*, look: bool) -> list[float]:
            session = line.load(hparams={"dropout": 0.5}, name="looked at")
            for _ in range(4):
                session.step(3)
                if look:
                    session.validate()
            losses: list[float] = session.metrics("loss")[1].tolist()
            return losses

        assert run(look=True) == run(look=False)

    def test_another_session_may_restore_it(self, line: Definition) -> None:
        """By its directory, after the first is gone."""
        session = line.load()
        session.step(5)
        saved = session.checkpoint()
        before = weights(session)
        session.close()
        other = line.load(seed=99)
        other.restore(saved.path)
        assert other.batches_trained == 5
        assert same(weights(other), before)

    def test_it_holds_no_code(self, line: Definition) -> None:
        """It loads with weights_only, in Determined's layout."""
        session = line.load()
        session.step()
        state = torch.load(Path(session.checkpoint().path) / "state_dict.pth", weights_only=True)
        theirs = {"models_state_dict", "optimizers_state_dict", "lr_schedulers_state_dict", "callbacks", "rng_state"}
        assert set(state) == {*theirs, "detjupyter"}

    @pytest.mark.parametrize(
        ("edit", "words"),
        [
            (("nn.Linear(8, 1)", "nn.Linear(8, 2)"), "model 0 does not fit"),
            (("torch.optim.Adam(self.model.parameters()", "torch.optim.Adam(self.model[0].parameters()"), "optimizer 0 does not fit"),
        ],
    )
    def test_one_that_does_not_fit_changes_nothing(self, line: Definition, edit: tuple[str, str], words: str) -> None:
        """Not even the parts that would fit."""
        session = line.load()
        session.step(5)
        saved = session.checkpoint()
        line.edit(*edit)
        other = line.load(seed=2)
        other.at_batch(lambda _: None)
        before = weights(other)
        with pytest.raises(CheckpointError, match=words):
            other.restore(saved)
        assert same(weights(other), before)
        assert other.batches_trained == 0

    @pytest.mark.parametrize("damage", [b"", b"PK torn", None])
    def test_a_damaged_file_is_refused(self, line: Definition, damage: bytes | None) -> None:
        """It is not what was written, whatever else it may be."""
        session = line.load()
        session.step()
        saved = session.checkpoint()
        file = Path(saved.path) / "state_dict.pth"
        if damage is None:
            torch.save({"models_state_dict": []}, file)
        else:
            file.write_bytes(damage)
        before = weights(session)
        with pytest.raises(CheckpointError, match=r"damaged: state_dict\.pth is not what was written"):
            session.restore(saved)
        assert same(weights(session), before)

    @pytest.mark.skipif(sys.platform == "win32", reason="no limits of this kind there")
    def test_a_full_disk_does_not_end_the_training(self, line: Definition) -> None:
        """Torch's writer hides the system's error behind one of its own; here it is the disk's again."""
        session = line.load()
        session.step(1)
        session.at_batch(lambda trial: setattr(trial, "ballast", trial.context.wrap_model(torch.nn.Linear(500, 500))))
        with _small_files(200_000), pytest.raises(CheckpointError, match="File too large"):
            session.checkpoint()
        assert session.state == "paused"
        session.checkpoint()

    def test_state_that_cannot_be_saved_does_not_end_the_training(self, line: Definition) -> None:
        """The one who asked hears of it."""
        session = line.load()
        session.step(1)
        session.at_batch(lambda trial: trial.optimizer.param_groups[0].update(hook=lambda: None))
        with pytest.raises(CheckpointError, match="cannot be saved"):
            session.checkpoint()
        assert session.state == "paused"


@contextmanager
def _small_files(limit_bytes: int) -> Iterator[None]:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class TestReloading:
    """Edited code, same weights."""

    def test_new_code_old_weights(self, line: Definition) -> None:
        """While it is paused; optimizer states go on, too."""
        session = line.load()
        session.step(7)
        before, moments = weights(session), session.trial.optimizer.state_dict()["state"]
        line.edit('return {"loss": loss}', 'return {"loss": loss, "new": 1.0}')
        session.reload()
        assert same(weights(session), before)
        after = session.trial.optimizer.state_dict()["state"]
        assert all(torch.equal(moments[key]["exp_avg"], after[key]["exp_avg"]) for key in moments)
        session.step(1)
        assert session.metrics("new")[0].tolist() == [8]
        assert session.batches_trained == 8

    def test_a_reload_without_an_edit_changes_nothing(self, line: Definition) -> None:
        """To the bit: building the new trial does not begin the random numbers anew."""

        def run(*, reload: bool) -> list[float]:
            session = line.load(hparams={"dropout": 0.5}, name="reloaded")
            for _ in range(3):
                session.step(4)
                if reload:
                    session.reload()
            losses: list[float] = session.metrics("loss")[1].tolist()
            return losses

        assert run(reload=True) == run(reload=False)

    def test_an_edited_option_takes_effect_and_one_changed_by_hand_stays(self, line: Definition) -> None:
        """A learning rate edited in the code counts; one set between two batches is kept while the code's did not change."""
        session = line.load()
        session.step(1)
        session.at_batch(lambda trial: trial.optimizer.param_groups[0].update(lr=0.5))
        line.edit('return {"loss": loss}', 'return {"loss": 2 * loss}')
        session.reload()
        assert session.trial.optimizer.param_groups[0]["lr"] == 0.5
        line.edit('get("lr", 0.01)', 'get("lr", 0.02)')
        session.reload()
        assert session.trial.optimizer.param_groups[0]["lr"] == 0.02

    def test_a_running_training_goes_on_with_the_new_code(self, line: Definition) -> None:
        """No pause is needed."""
        session = line.load()
        session.train(batches=LONG)
        while not session.at_batch(lambda _: session.batches_trained):
            pass
        line.edit('return {"loss": loss}', 'return {"loss": loss, "new": 1.0}')
        session.reload()
        at = session.at_batch(lambda _: session.batches_trained)
        session.step(3)
        assert session.batches_trained >= at + 3
        session.stop()
        batches, _ = session.metrics("new")
        assert batches[-1] == session.batches_trained
        assert batches[0] > 1

    def test_a_failing_batch_keeps_the_weights_and_training_goes_on_after_the_fix(self, line: Definition) -> None:
        """Edit the file, reload, train: the history is one."""
        line.edit(
            "x, y = batch\n        loss", "x, y = batch\n        if batch_idx == 5:\n            x = x @ torch.ones(2, 2)\n        loss"
        )
        session = line.load()
        session.train(batches=10)
        with pytest.raises(TrialError, match="mat1 and mat2") as raised:
            session.wait(LIMIT_S)
        assert "x = x @ torch.ones(2, 2)" in raised.value.user_traceback
        assert "/detjupyter/" not in raised.value.user_traceback
        assert session.batches_trained == 5
        before = weights(session)
        line.edit("x = x @ torch.ones(2, 2)", "pass")
        session.reload()
        assert same(weights(session), before)
        session.train(batches=5, wait=True)
        assert session.state == "finished"
        assert session.metrics("loss")[0].tolist() == list(range(1, 11))

    @pytest.mark.parametrize(
        ("edit", "error", "words"),
        [
            (("import torch\n", "import torch\nthis is no python\n"), DefinitionSyntaxError, "does not compile"),
            (("self.context = context", "raise ValueError('broken')"), TrialError, "broken"),
            (("nn.Linear(8, 1)", "nn.Linear(8, 2)"), CheckpointError, "model 0 does not fit"),
        ],
    )
    def test_a_reload_that_fails_changes_nothing(self, line: Definition, edit: tuple[str, str], error: type[Exception], words: str) -> None:
        """Same trial, same weights, and it trains."""
        session = line.load()
        session.step(2)
        trial, before, modules = session.trial, weights(session), set(sys.modules)
        line.edit(*edit)
        with pytest.raises(error, match=words):
            session.reload()
        assert {name for name in set(sys.modules) - modules if name.startswith("detjupyter.loaded.")} == set()
        assert session.trial is trial
        assert same(weights(session), before)
        session.step(1)
        assert session.batches_trained == 3

    def test_many_reloads_leave_one_version_behind(self, line: Definition) -> None:
        """Modules of earlier versions go."""
        session = line.load()
        count = sum(name.startswith("detjupyter.loaded.") for name in sys.modules)
        for _ in range(3):
            session.reload()
        assert sum(name.startswith("detjupyter.loaded.") for name in sys.modules) == count


class TestMemory:
    """After a failure nothing holds the batch."""

    @pytest.mark.parametrize("method", ["train_batch(self, batch, epoch_idx, batch_idx)", "evaluate_batch(self, batch)"])
    def test_no_tensor_of_the_failed_batch_survives(self, line: Definition, method: str) -> None:
        """Neither the batch, nor what was computed from it, nor the graph."""
        line.edit("import torch\n", "import torch, weakref\nkept = []\n")
        line.edit(
            f"def {method}:",
            f"def {method}:\n"
            "        h = self.model(batch[0])\n"
            "        kept[:] = [weakref.ref(batch[0]), weakref.ref(h)]\n"
            "        try:\n"
            "            raise KeyError('inner')\n"
            "        except KeyError as inner:\n"
            "            raise ValueError('outer') from inner\n",
        )
        session = line.load()
        command: Command = Step(1) if "train" in method else Validate()
        assert "outer" in str(session.send(command).exception(LIMIT_S))
        assert session.state == "failed"
        kept = sys.modules[type(session.trial).__module__].kept  # type: ignore[attr-defined]
        gc.collect()
        assert [reference() for reference in kept] == [None, None]


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
        """A session that was left paused after a step has no thread and no live run any more."""
        session = line.load(name="mine")
        session.step(1)
        again = line.load(name="mine")
        assert again is not session
        assert session.state == "stopped"
        assert session.run.state == "stopped"
        assert [thread.name for thread in threading.enumerate() if thread.name.startswith("detjupyter")] == []


class TestReproducibility:
    """The same seed, the same run."""

    @pytest.mark.parametrize("hparams", [{"shuffle": True, "dropout": 0.3}, {"shuffle": False}])
    def test_a_seed_makes_a_run_reproducible_to_the_bit(self, line: Definition, hparams: dict[str, Any]) -> None:
        """Losses and weights; another seed gives others."""

        def run(seed: int) -> tuple[list[float], list[torch.Tensor]]:
            session = line.load(seed=seed, hparams=hparams, name="again")
            session.train(epochs=3, wait=True)
            return session.metrics("loss")[1].tolist(), weights(session)

        (losses, end), (again, end_again), (other, _) = run(3), run(3), run(4)
        assert losses == again
        assert same(end, end_again)
        assert losses != other

    def test_epochs_go_through_all_the_data(self, line: Definition) -> None:
        """Each record once in each epoch, also when training stops and goes on in the middle of one."""
        line.edit(
            "x, y = batch\n        loss",
            "x, y = batch\n        self.__dict__.setdefault('seen', []).extend(x.flatten().tolist())\n        loss",
        )
        session = line.load()
        session.step(3)
        session.train(batches=4, wait=True)
        session.train(batches=3, wait=True)
        assert sorted(session.trial.seen) == sorted(torch.linspace(-1, 1, 40).tolist())

    def test_workers_of_a_loader_train_from_the_background_thread(self, line: Definition) -> None:
        """Two worker processes, forked from the training's thread, printing on the way; the training ends and so do they."""
        line.edit("batch_size=4,", "batch_size=4, num_workers=2,")
        line.edit("return DataLoader(TensorDataset(inputs, targets), batch_size=4", "return DataLoader(Loud(inputs, targets), batch_size=4")
        line.edit(
            "class LineTrial",
            "class Loud(TensorDataset):\n"
            "    def __getitem__(self, index):\n"
            "        print('record', index)\n"
            "        return super().__getitem__(index)\n\n\n"
            "class LineTrial",
        )
        session = line.load()
        session.train(epochs=2, wait=True)
        assert session.metrics("loss")[0].tolist() == list(range(1, 21))
        session.close()
        assert multiprocessing.active_children() == []


class TestTheQuickstart:
    """The definition that new users meet first."""

    def test_it_reaches_97_percent_within_five_epochs(self, tmp_path: Path) -> None:
        """On held-out digits."""
        pytest.importorskip("sklearn")
        import detjupyter as dj

        root = shutil.copytree(QUICKSTART, tmp_path / "quickstart")
        session = dj.load("model_def:DigitsTrial", path=root, device="cpu")
        session.train(epochs=5, wait=True)
        batches, accuracy = session.metrics("accuracy", "validation")
        assert len(batches) == 5
        assert accuracy.max() >= 0.97
        assert session.record().best.value == accuracy.max()
