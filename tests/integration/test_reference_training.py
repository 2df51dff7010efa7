"""Facts of Determined's interface that no other test states: data, metrics, the training loop, checkpoints, configurations."""

from __future__ import annotations

import inspect
import json
import logging
import pickle
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from integration.test_checkpoint_layouts import foreign, saved_state, write_0_17, write_0_21
from torch import nn
from torch.utils.data import BatchSampler, RandomSampler, SequentialSampler, TensorDataset

from detjupyter import pytorch
from detjupyter.definition import read_config
from detjupyter.errors import TrialError
from detjupyter.pytorch import Batch, DataLoader, Epoch, Reducer

if TYPE_CHECKING:
    from integration.conftest import Definition

TEN = TensorDataset(torch.arange(10))
EVALUATED = 'return {"error": ((self.model(x) - y) ** 2).mean()}'
TRAINED = 'return {"loss": loss}'

STRETCHES = """
from detjupyter.pytorch import PyTorchCallback


class Stretches(PyTorchCallback):
    def __init__(self):
        self.averages, self.batches, self.saved = [], [], []

    def on_training_workload_end(self, avg_metrics, batch_metrics):
        self.averages.append(avg_metrics)
        self.batches.append(batch_metrics)

    def on_checkpoint_upload_end(self, uuid):
        self.saved.append(uuid)

    MORE = None
"""


def listening(line: Definition) -> Definition:
    """Give the line a callback, `trial.stretches`, that keeps the metrics of each stretch and the names of checkpoints."""
    line.write(stretches=STRETCHES)
    line.edit("from detjupyter", "from stretches import Stretches\nfrom detjupyter")
    line.edit(
        "\n    def train_batch",
        "\n    def build_callbacks(self):\n        self.stretches = Stretches()\n"
        "        self.stretches.context = self.context\n        return {'stretches': self.stretches}\n"
        "\n    def train_batch",
    )
    return line


def in_constructor(line: Definition, statement: str) -> None:
    """Add a statement to the end of the trial's constructor."""
    line.edit("\n    def build_training", f"        {statement}\n\n    def build_training")


def parameters(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the names of a function's parameters, in their order, with their defaults."""
    return {name: one.default for name, one in inspect.signature(function).parameters.items() if name != "self"}


def checkpoints(session: Any) -> list[int]:
    """Return after how many batches checkpoints were written, those that are deleted by now included."""
    return sorted({event["checkpoint"]["batches_trained"] for event in session.run.events() if event["kind"] == "checkpoint"})


def validations(session: Any) -> list[int]:
    """Return after how many batches it was validated."""
    return list(session.metrics("error", "validation")[0])


class Fit(pytorch.PyTorchTrial):
    """Fits a line on 40 records, 10 batches a pass; the validation gives what `errors` gives."""

    def __init__(self, context: pytorch.PyTorchTrialContext, errors: Iterator[float] | None = None) -> None:
        self.context = context
        self.errors = errors
        self.stretches: list[int] = []
        self.model = context.wrap_model(nn.Linear(1, 1))
        self.optimizer = context.wrap_optimizer(torch.optim.SGD(self.model.parameters(), lr=0.05))

    def data(self) -> TensorDataset:
        """Return 40 points of a line."""
        inputs = torch.linspace(-1, 1, 40).reshape(-1, 1)
        return TensorDataset(inputs, 2 * inputs + 1)

    def build_training_data_loader(self) -> DataLoader:
        """Return them in batches of four."""
        return DataLoader(self.data(), batch_size=4)

    def build_validation_data_loader(self) -> DataLoader:
        """Return them all at once."""
        return DataLoader(self.data(), batch_size=40)

    def build_callbacks(self) -> dict[str, pytorch.PyTorchCallback]:
        """Note the length of each stretch."""
        callback = pytorch.PyTorchCallback()
        noted = self.stretches

        def note(avg_metrics: dict[str, Any], batch_metrics: list[dict[str, Any]]) -> None:
            assert avg_metrics["batches"] >= len(batch_metrics)
            noted.append(len(batch_metrics))

        callback.on_training_workload_end = note  # type: ignore[method-assign]
        return {"noting": callback}

    def train_batch(self, batch: Any, epoch_idx: int, batch_idx: int) -> dict[str, Any]:  # noqa: ARG002
        """Train on a batch."""
        x, y = batch
        loss = ((self.model(x) - y) ** 2).mean()
        self.context.backward(loss)
        self.context.step_optimizer(self.optimizer)
        return {"loss": loss}

    def evaluate_batch(self, batch: Any) -> dict[str, Any]:
        """Return the next of the errors, or the true one."""
        x, y = batch
        return {"error": ((self.model(x) - y) ** 2).mean() if self.errors is None else next(self.errors)}


def fitted(errors: list[float] | None = None, exp_conf: dict[str, Any] | None = None, **given: Any) -> Any:
    """Fit a new trial, and return its session."""
    with pytorch.init(hparams={}, exp_conf=exp_conf) as context:
        trainer = pytorch.Trainer(Fit(context, None if errors is None else iter(errors)), context)
        trainer.fit(**given)
    return trainer.session


class TestDataLoader:
    """`determined.pytorch.DataLoader`, a description of torch's."""

    def test_its_arguments_are_determineds_in_its_order(self) -> None:
        """The first eleven are those of 2020, the rest today's; what is by name only today is by name only here."""
        given = inspect.signature(DataLoader).parameters.values()
        assert {one.name: one.default for one in given} == {
            "dataset": inspect.Parameter.empty,
            "batch_size": 1,
            "shuffle": False,
            "sampler": None,
            "batch_sampler": None,
            "num_workers": 0,
            "collate_fn": None,
            "pin_memory": False,
            "drop_last": False,
            "timeout": 0,
            "worker_init_fn": None,
            "multiprocessing_context": None,
            "generator": None,
            "prefetch_factor": None,
            "persistent_workers": False,
        }
        positional = [one.name for one in given if one.kind is one.POSITIONAL_OR_KEYWORD]
        assert positional[:2] == ["dataset", "batch_size"]
        assert positional[-2:] == ["multiprocessing_context", "generator"]

    def test_it_is_no_loader_of_torchs_and_makes_one(self) -> None:
        """With torch's own sampler, at random or in order."""
        assert not isinstance(DataLoader(TEN), torch.utils.data.DataLoader)
        assert isinstance(DataLoader(TEN).get_data_loader(), torch.utils.data.DataLoader)
        for shuffle, kind in ((True, RandomSampler), (False, SequentialSampler)):
            batches: Any = DataLoader(TEN, batch_size=3, shuffle=shuffle, drop_last=True).batch_sampler
            assert type(batches) is BatchSampler
            assert type(batches.sampler) is kind
            assert (batches.batch_size, batches.drop_last) == (3, True)

    def test_what_does_not_concern_the_order_is_passed_on(self) -> None:
        """Also arguments that came later, if they are given."""
        own = torch.Generator()
        loader = DataLoader(
            TEN, num_workers=1, collate_fn=len, timeout=7, generator=own, prefetch_factor=5, persistent_workers=True
        ).get_data_loader()
        assert (loader.num_workers, loader.timeout, loader.prefetch_factor, loader.persistent_workers) == (1, 7, 5, True)
        assert (loader.collate_fn, loader.generator) == (len, own)
        plain = DataLoader(TEN).get_data_loader()
        assert (plain.num_workers, plain.prefetch_factor, plain.persistent_workers, plain.pin_memory) == (0, None, False, False)

    def test_a_loader_repeats_then_shards_then_skips(self) -> None:
        """With an odd number of batches the shards swap from pass to pass; the first batches are skipped of the shard."""
        loader = DataLoader(TEN, batch_size=2).get_data_loader(repeat=True, skip=1, num_replicas=2, rank=1)
        assert [batch[0].tolist() for batch in islice(loader, 4)] == [[6, 7], [0, 1], [4, 5], [8, 9]]

    def test_every_validation_is_one_whole_pass(self, line: Definition) -> None:
        """Nothing of it is skipped or repeated, wherever the training is."""
        line.edit(EVALUATED, 'return {"error": 0.0, "first": x[0], "records": float(len(x))}')
        line.edit("def evaluate_batch", "def evaluation_reducer(self):\n        return Reducer.SUM\n\n    def evaluate_batch")
        line.edit("import DataLoader", "import DataLoader, Reducer")
        session = line.load()
        for batches in (0, 1, 7):
            if batches:
                session.step(batches)
            metrics = session.validate()
            assert metrics["records"] == 40
            assert metrics["first"] == pytest.approx(float(torch.linspace(-1, 1, 40)[[0, 20]].sum()))


class TestTrainingMetrics:
    """Of a stretch of batches."""

    def test_those_that_a_trial_calls_batches_or_epochs_are_its_own(self, line: Definition) -> None:
        """The counts are added to the averages only where the trial has no such metric, and to no batch."""
        listening(line).edit(TRAINED, 'return {"loss": loss, "epochs": 0.5}')
        session = line.load()
        session.train(batches=12, wait=True)
        (averages,), (batches,) = session.trial.stretches.averages, session.trial.stretches.batches
        assert (averages["batches"], averages["epochs"]) == (12, 0.5)
        assert {tuple(row) for row in batches} == {("loss", "epochs")}

    def test_a_custom_reducer_is_part_of_the_averages_and_of_no_batch(self, line: Definition) -> None:
        """It takes the place of an average of its name."""
        in_constructor(listening(line), "context.wrap_reducer(lambda _: -1.0, name='loss')")
        in_constructor(line, "context.wrap_reducer(lambda _: 5.0, name='five')")
        session = line.load()
        session.train(batches=2, wait=True)
        (averages,), (batches,) = session.trial.stretches.averages, session.trial.stretches.batches
        assert averages == {"loss": -1.0, "five": 5.0, "batches": 2, "epochs": 0}
        assert [list(row) for row in batches] == [["loss"], ["loss"]]
        assert all(row["loss"] >= 0 for row in batches)

    def test_none_of_them_has_to_be_called_loss(self, line: Definition) -> None:
        """Determined of 2020 asked for a name that begins so; here any name will do."""
        line.edit(TRAINED, 'return {"squares": loss}')
        session = line.load()
        session.train(batches=3, wait=True)
        assert len(session.metrics("squares")[1]) == 3


class TestValidationMetrics:
    """What becomes of what a trial returns."""

    def test_reducers_have_determineds_values(self) -> None:
        """Configurations and old code name them by number, too."""
        assert [(one.name, one.value) for one in Reducer] == [("AVG", 1), ("SUM", 2), ("MAX", 3), ("MIN", 4)]

    def test_the_average_is_the_default_and_weighs_all_batches_alike(self, line: Definition) -> None:
        """A batch of 30 records counts as much as one of 10."""
        line.edit("batch_size=20", "batch_size=30")
        line.edit(EVALUATED, 'return {"error": float(len(x)), "pair": [1.0, float(len(x))]}')
        assert line.load().validate() == {"error": 20.0, "pair": 10.5}

    def test_of_the_whole_data_arrays_are_kept(self, line: Definition) -> None:
        """Callers get them as they are; curves have what is a single number."""
        whole = "def evaluate_full_dataset(self, data_loader):\n        return {'all': torch.arange(3), 'flag': True, 'error': 0.5}\n\n"
        line.edit("    def evaluate_batch", f"    {whole}    def unused")
        session = line.load(config={"searcher": {"metric": "error"}})
        metrics = session.validate()
        assert isinstance(metrics["all"], np.ndarray)
        assert metrics["all"].tolist() == [0, 1, 2]
        assert session.metrics("flag", "validation")[1].tolist() == [1.0]
        assert session.run is not None
        assert set(session.run.metric_names("validation")) == {"flag", "error"}

    @pytest.mark.parametrize("metric", ["all", "elsewhere"])
    def test_a_searchers_metric_that_is_no_number_ranks_nothing_and_ends_nothing(self, line: Definition, metric: str) -> None:
        """Determined fails the trial; here the first metric that is a number ranks in its place."""
        whole = "def evaluate_full_dataset(self, data_loader):\n        return {'all': torch.ones(3), 'error': 0.5}\n\n"
        line.edit("    def evaluate_batch", f"    {whole}    def unused")
        session = line.load(config={"searcher": {"metric": metric}})
        session.train(batches=2, wait=True)
        best = session.record().best
        assert (session.state, best.name, best.value) == ("finished", "error", 0.5)

    def test_how_far_the_training_is_stands_beside_them_not_among_them(self, line: Definition) -> None:
        """Determined reports `batches` and `epochs` as metrics; here a curve has the batches for its axis."""
        session = line.load()
        session.step(3)
        assert set(session.validate()) == {"error"}
        assert validations(session) == [3]

    def test_nan_is_kept_and_never_the_best(self) -> None:
        """No checkpoint of the policy `best` is of it, whatever came before."""
        nan = float("nan")
        session = fitted([3.0, nan, 2.0, nan], max_length=Batch(8), validation_period=Batch(2))
        values = session.metrics("error", "validation")[1]
        assert np.array_equal(values, [3.0, nan, 2.0, nan], equal_nan=True)
        assert checkpoints(session) == [2, 6, 8]
        assert session.record().best.value == 2.0


class TestTensorBoard:
    """What goes to a trial's writer."""

    @pytest.mark.parametrize("logs", [True, False])
    def test_init_says_whether_metrics_go_there(self, logs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        """`enable_tensorboard_logging` is on unless it is switched off."""
        written: list[str] = []

        class Writer:
            def __init__(self, log_dir: str) -> None:
                assert Path(log_dir).is_dir()

            def add_scalar(self, name: str, *_: Any) -> None:
                written.append(name)

            def close(self) -> None:
                pass

        module = ModuleType("torch.utils.tensorboard")
        module.SummaryWriter = Writer  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
        with pytorch.init(hparams={}, **({} if logs else {"enable_tensorboard_logging": False})) as context:
            context.get_tensorboard_writer()
            pytorch.Trainer(Fit(context), context).fit(max_length=Batch(2))
        assert set(written) == ({"Determined/loss", "Determined/val_error"} if logs else set())


class TestInit:
    """`pytorch.init`."""

    def test_its_arguments_are_determineds_and_by_name_only(self) -> None:
        """With Determined's defaults."""
        assert parameters(pytorch.init) == {
            "hparams": None,
            "exp_conf": None,
            "distributed": None,
            "aggregation_frequency": 1,
            "enable_tensorboard_logging": True,
        }
        with pytest.raises(TypeError):
            pytorch.init({"lr": 0.1})  # type: ignore[misc]

    def test_it_gives_a_context_and_seeds_nothing(self) -> None:
        """The ids are 1, as everywhere here; the process draws on as it would have."""
        before = torch.get_rng_state()
        with pytorch.init() as context:
            assert isinstance(context, pytorch.PyTorchTrialContext)
            assert (context.get_trial_id(), context.get_experiment_id()) == (1, 1)
        assert torch.equal(torch.get_rng_state(), before)


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
        assert fitted(max_length=Batch(101)).trial.stretches == [100, 1]

    @pytest.mark.parametrize("number", [0, -5])
    def test_periods_less_than_one_mean_always(self, number: int) -> None:
        """Of epochs: at the end of each, never within one."""
        session = fitted(max_length=Batch(25), checkpoint_period=Epoch(number), reporting_period=Epoch(number), checkpoint_policy="none")
        assert checkpoints(session) == [10, 20, 25]
        assert session.trial.stretches == [10, 10, 5]
        session = fitted(max_length=Batch(3), validation_period=Batch(number), checkpoint_period=Batch(number), checkpoint_policy="none")
        assert validations(session) == checkpoints(session) == [1, 2, 3]

    def test_nothing_is_due_at_number_zero_nor_without_a_period(self) -> None:
        """The end has both all the same."""
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
        assert session.trial.stretches == [4]
        assert validations(fitted(exp_conf=config, max_length=Batch(2))) == [2]


class TestConfiguredTraining:
    """A model definition that is trained as its configuration says."""

    def test_all_of_it_comes_from_the_configuration(self, line: Definition) -> None:
        """Length, periods, stretches, the first validation and the policy."""
        session = listening(line).load(
            config={
                "searcher": {"name": "single", "metric": "error", "max_length": {"batches": 10}},
                "min_validation_period": {"batches": 4},
                "min_checkpoint_period": {"batches": 3},
                "scheduling_unit": 5,
                "checkpoint_policy": "none",
                "perform_initial_validation": True,
            }
        )
        session.train(wait=True)
        assert validations(session) == [0, 4, 8, 10]
        assert checkpoints(session) == [3, 6, 9, 10]
        assert [one["batches"] for one in session.trial.stretches.averages] == [3, 4, 5, 6, 8, 9, 10]

    def test_records_are_counted_in_whole_batches_of_them(self, line: Definition) -> None:
        """Four a batch: 11 records are two batches; fewer than a batch are one."""
        session = line.load(
            config={
                "searcher": {"name": "single", "metric": "error", "max_length": {"records": 20}},
                "min_validation_period": {"records": 11},
                "min_checkpoint_period": {"records": 1},
                "checkpoint_policy": "none",
            }
        )
        session.train(wait=True)
        assert (validations(session), checkpoints(session)) == ([2, 4, 5], [1, 2, 3, 4, 5])

    def test_an_epoch_may_be_so_many_records(self, line: Definition) -> None:
        """`records_per_epoch` decides where the config has it, over the length of the loader."""
        config = {
            "records_per_epoch": 10,
            "searcher": {"name": "single", "metric": "error", "max_length": {"epochs": 2}},
            "min_validation_period": {"epochs": 1},
        }
        session = line.load(config=config)
        session.train(wait=True)
        assert validations(session) == [2, 4, 5]

    def test_steps_of_2020_end_with_one_validation(self, line: Definition) -> None:
        """`max_steps` of `batches_per_step` batches; no period, no validation on the way."""
        config = {"batches_per_step": 4, "searcher": {"name": "single", "metric": "error", "max_steps": 3}}
        session = listening(line).load(config=config)
        session.train(wait=True)
        assert validations(session) == checkpoints(session) == [12]
        assert [one["batches"] for one in session.trial.stretches.averages] == [4, 8, 12]

    def test_a_trial_that_fails_is_not_started_again(self, line: Definition) -> None:
        """Whatever `max_restarts` says: the session names the error, and goes on when it is asked to."""
        line.edit("        x, y = batch\n        loss", "        assert batch_idx != 2 or self.failed\n        x, y = batch\n        loss")
        line.edit("    def train_batch", "    failed = False\n\n    def train_batch")
        session = line.load(config={"max_restarts": 5})
        with pytest.raises(TrialError, match="AssertionError"):
            session.train(batches=4, wait=True)
        assert (session.state, session.batches_trained) == ("failed", 2)
        session.at_batch(lambda trial: setattr(trial, "failed", True))
        session.train(batches=2, wait=True)
        assert (session.state, session.batches_trained) == ("finished", 4)

    @pytest.mark.parametrize("moment", ["on_validation_end(self, metrics)", "on_training_workload_end(self, avg_metrics, batch_metrics)"])
    def test_a_callback_may_end_the_training(self, moment: str, line: Definition) -> None:
        """A request to stop is heard after each boundary: what is due there is done, and a checkpoint is saved if there is none."""
        listening(line).edit("MORE = None", f"def {moment}:\n        self.context.set_stop_requested(True)", "stretches")
        session = line.load(config={"min_validation_period": {"batches": 3}, "scheduling_unit": 3, "checkpoint_policy": "none"})
        session.train(batches=20, wait=True)
        assert session.batches_trained == 3
        assert validations(session) == checkpoints(session) == [3]

    def test_the_configuration_of_a_test_run_on_a_cluster(self, line: Definition) -> None:
        """One batch, one validation, and no checkpoint stays."""
        config = {
            "scheduling_unit": 1,
            "searcher": {"name": "single", "metric": "error", "max_length": {"batches": 1}},
            "checkpoint_storage": {"save_experiment_best": 0, "save_trial_best": 0, "save_trial_latest": 0},
            "max_restarts": 0,
        }
        session = line.load(config=config)
        session.train(wait=True)
        assert session.batches_trained == 1
        assert validations(session) == checkpoints(session) == [1]
        assert session.run is not None
        assert session.run.checkpoints() == []


class TestCheckpointFiles:
    """What is written, and under which names."""

    def test_random_states_are_under_determineds_names(self, line: Definition) -> None:
        """One of each generator that a trial draws from; that of a GPU only where there is one."""
        session = line.load()
        session.step(1)
        state = saved_state(session.checkpoint())
        assert set(state["rng_state"]) == {"cpu_rng_state", "np_rng_state", "random_rng_state"}
        assert [len(state[f"{what}_state_dict"]) for what in ("models", "optimizers", "lr_schedulers")] == [1, 1, 0]
        assert list(state["models_state_dict"][0]) == list(session.trial.model.state_dict())

    def test_its_name_is_that_of_its_directory_and_what_callbacks_hear(self, line: Definition) -> None:
        """No two have the same; the name of the framework is in the metadata."""
        session = listening(line).load()
        session.step(1)
        first = session.checkpoint()
        session.step(1)
        second = session.checkpoint()
        assert session.trial.stretches.saved == [first.id, second.id] == [Path(one.path).name for one in (first, second)]
        assert first.id != second.id
        metadata = json.loads((Path(second.path) / "metadata.json").read_text())
        assert (metadata["framework"], metadata["format"], metadata["steps_completed"]) == (f"torch-{torch.__version__}", "pickle", 2)

    def test_where_the_configuration_would_store_them_nothing_is_written(self, line: Definition, tmp_path: Path) -> None:
        """They are kept beside the history; buckets and directories of a cluster are not looked for."""
        there = tmp_path / "there"
        session = line.load(config={"checkpoint_storage": {"type": "shared_fs", "host_path": str(there), "storage_path": "x"}})
        session.step(1)
        assert Path(session.checkpoint().path).is_relative_to(tmp_path / "history")
        assert not there.exists()


class TestRestoring:
    """Checkpoints that Determined has written."""

    def test_of_several_states_the_first_place_counts(self, line: Definition, tmp_path: Path) -> None:
        """`state_dict.pth`, then `determined/`, then `pedl/`, then `checkpoint.pt`."""
        session = line.load()
        directory = foreign(tmp_path)
        places = ["state_dict.pth", "determined/state_dict.pth", "pedl/state_dict.pth", "checkpoint.pt"]
        weights = []
        for place in places:
            session.step(1)
            (directory / place).parent.mkdir(exist_ok=True)
            torch.save(saved_state(session.checkpoint()), directory / place)
            weights.append(session.trial.model[0].weight.detach().clone())
        for place, weight in zip(places, weights, strict=True):
            session.restore(directory)
            assert torch.equal(session.trial.model[0].weight, weight)
            (directory / place).unlink()

    def test_all_generators_go_on(self, line: Definition, tmp_path: Path) -> None:
        """Python's, numpy's and torch's, from the state of a version that kept numpy's as an array."""
        line.edit("import torch\n", "import random\nimport numpy\nimport torch\n")
        line.edit(TRAINED, 'return {"loss": loss, "a": random.random(), "b": numpy.random.rand(), "c": torch.rand(())}')
        session = line.load()
        session.step(3)
        write_0_21(foreign(tmp_path), saved_state(session.checkpoint()))
        session.step(2)
        other = line.load(seed=9)
        other.restore(tmp_path / "foreign")
        other.step(2)
        for name in "abc":
            assert other.metrics(name)[1].tolist() == session.metrics(name)[1][3:].tolist()

    @pytest.mark.parametrize(("write", "pickled"), [(write_0_17, "workload_sequencer.pkl"), (write_0_21, "trial_state.pkl")])
    def test_the_training_of_another_trial_goes_on_where_it_was(
        self, write: Callable[[Path, dict[str, Any]], None], pickled: str, line: Definition, tmp_path: Path
    ) -> None:
        """Determined begins to count anew for another trial's checkpoint; here restoring always goes on."""
        session = line.load()
        session.step(5)
        directory = foreign(tmp_path)
        write(directory, saved_state(session.checkpoint()))
        file = directory / pickled
        file.write_bytes(pickle.dumps({**pickle.loads(file.read_bytes()), "trial_id": 99}))
        other = line.load(seed=2)
        other.restore(directory)
        assert other.batches_trained == 5

    def test_a_fit_goes_on_from_one(self, tmp_path: Path) -> None:
        """With the counts, and with the data where it was."""
        first = fitted(max_length=Batch(13))
        write_0_21(foreign(tmp_path), saved_state(first.checkpoint()))
        whole = fitted(max_length=Batch(17), latest_checkpoint=first.checkpoint().path)
        session = fitted(max_length=Batch(17), latest_checkpoint=tmp_path / "foreign")
        assert list(session.metrics("loss")[0]) == [14, 15, 16, 17]
        assert np.array_equal(session.metrics("loss")[1], whole.metrics("loss")[1])

    @pytest.mark.parametrize(("saved", "loaded"), [(True, False), (False, True), (True, True), (False, False)])
    def test_a_scaler_on_one_side_only_is_warned_of(
        self, saved: bool, loaded: bool, line: Definition, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The rest is restored; where both have one, or none, there is nothing to say."""

        def load(scales: bool) -> Any:
            if scales:
                line.edit("self.model = ", "context.wrap_scaler(torch.amp.GradScaler('cpu'))\n        self.model = ")
            session = line.load(seed=int(scales))
            if scales:
                line.edit("context.wrap_scaler(torch.amp.GradScaler('cpu'))\n        ", "")
            return session

        session = load(saved)
        session.step(2)
        record = session.checkpoint()
        other = load(loaded)
        with caplog.at_level(logging.WARNING, logger="detjupyter"):
            other.restore(record)
        assert torch.equal(other.trial.model[0].weight, session.trial.model[0].weight)
        said = [one.getMessage() for one in caplog.records if "scaler" in one.getMessage()]
        assert len(said) == (saved is not loaded)
        caplog.clear()
        pytorch.load_trial_from_checkpoint_path(record.path)
        assert not caplog.records


KEYS = {
    "name": "n",
    "description": "d",
    "labels": ["a", "b"],
    "project": "p",
    "workspace": "w",
    "entrypoint": "model_def:T",
    "hyperparameters": {"global_batch_size": 4, "net": {"depth": 2}},
    "data": {"url": "x", "more": [1, 2]},
    "data_layer": {"type": "s3", "bucket": "b", "container_storage_path": "/c"},
    "searcher": {"name": "single", "metric": "loss", "smaller_is_better": True, "max_length": {"batches": 1}},
    "batches_per_step": 100,
    "scheduling_unit": 100,
    "records_per_epoch": 0,
    "min_validation_period": {"batches": 0},
    "min_checkpoint_period": 3,
    "checkpoint_policy": "best",
    "perform_initial_validation": False,
    "max_restarts": 5,
    "reproducibility": {"experiment_seed": 1},
    "optimizations": {
        "aggregation_frequency": 1,
        "average_aggregated_gradients": True,
        "average_training_metrics": False,
        "gradient_compression": False,
        "mixed_precision": "O0",
        "tensor_fusion_threshold": 64,
        "tensor_fusion_cycle_time": 5,
        "auto_tune_tensor_fusion": False,
    },
    "resources": {"slots_per_trial": 1, "weight": 1, "agent_label": "", "max_slots": 4, "priority": 1},
    "environment": {"image": "i", "environment_variables": ["A=1"], "force_pull_image": False},
    "bind_mounts": [{"host_path": "/a", "container_path": "/b", "read_only": True}],
    "internal": {},
    "tensorboard_storage": {"type": "shared_fs"},
    "debug": False,
    "profiling": {"enabled": False},
}


class TestConfigurations:
    """The keys of experiment configurations."""

    @pytest.mark.parametrize("key", KEYS)
    def test_every_key_of_either_era_is_known(self, key: str, tmp_path: Path) -> None:
        """It is read without a warning, and kept."""
        config = read_config({key: KEYS[key]}, tmp_path)
        assert config.warnings == ()
        assert config.raw == {key: KEYS[key]}

    @pytest.mark.parametrize("kind", ["shared_fs", "s3", "gcs", "hdfs", "azure", "directory"])
    def test_checkpoints_may_be_stored_anywhere(self, kind: str, tmp_path: Path) -> None:
        """No kind of storage is doubted, and how many to keep counts with each."""
        config = read_config({"checkpoint_storage": {"type": kind, "bucket": "b", "save_trial_best": 4}}, tmp_path)
        assert config.warnings == ()
        assert config.settings.save_trial_best == 4

    def test_what_is_left_out_is_as_in_determined(self, tmp_path: Path) -> None:
        """Every default that a training goes by."""
        settings = read_config({}, tmp_path).settings
        assert (settings.scheduling_unit, settings.records_per_epoch, settings.max_restarts) == (100, 0, 5)
        assert (settings.min_validation_period, settings.min_checkpoint_period, settings.searcher_length) == (None, None, None)
        assert (settings.checkpoint_policy, settings.perform_initial_validation) == ("best", False)
        assert (settings.save_experiment_best, settings.save_trial_best, settings.save_trial_latest) == (0, 1, 1)
        assert (settings.aggregation_frequency, settings.average_aggregated_gradients, settings.mixed_precision) == (1, True, "O0")
        assert (settings.gradient_compression, settings.experiment_seed, settings.debug) == (False, None, False)

    def test_a_trial_is_built_with_what_it_says(self, line: Definition) -> None:
        """Data, nested hyperparameters and the seed; a batch size is asked for only by who needs one."""
        config = {
            "data": {"url": "here", "parts": [1, 2]},
            "hyperparameters": {"net": {"depth": 3}},
            "reproducibility": {"experiment_seed": 77},
        }
        context = line.load(config=config, seed=None).context
        assert context.get_data_config() == {"url": "here", "parts": [1, 2]}
        assert context.get_hparam("net") == {"depth": 3}
        assert context.get_trial_seed() == 77
        with pytest.raises(ValueError, match="global_batch_size"):
            context.get_global_batch_size()

    def test_without_a_seed_there_is_a_new_one_each_time(self, line: Definition) -> None:
        """It is told to the trial, so that a training can be repeated."""
        seeds = [line.load(seed=None).context.get_trial_seed() for _ in range(3)]
        assert len(set(seeds)) > 1
        assert all(type(seed) is int and 0 <= seed < 2**32 for seed in seeds)
