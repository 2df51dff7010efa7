"""What a PyTorch trial is given, and what it must not do with it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from support.contexts import context
from support.definition import Definition

from detjupyter.definition.config import Config
from detjupyter.errors import ArgumentError, HyperparameterError, TrialError
from detjupyter.pytorch import LRScheduler, PyTorchTrialContext


class TestWrapping:
    """Models and optimizers."""

    def test_models_go_to_the_device_and_come_back(self) -> None:
        """The very same objects, in order."""
        mine = PyTorchTrialContext(Config(), seed=0, device=torch.device("meta"))
        models = [torch.nn.Linear(1, 1), torch.nn.Linear(2, 2)]
        assert [mine.wrap_model(model) for model in models] == models == mine.models
        assert models[1].weight.device.type == "meta"

    def test_the_names_of_the_wrapping_calls_before_0_12_13_wrap_as_well(self) -> None:
        """`context.Model`, `context.Optimizer` and `context.LRScheduler`, in what is kept and what they return."""
        mine = context()
        model = mine.Model(torch.nn.Linear(1, 1))
        optimizer = mine.Optimizer(torch.optim.SGD(model.parameters(), lr=1.0))
        scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer)
        assert mine.LRScheduler(scheduler, LRScheduler.StepMode.STEP_EVERY_EPOCH) is scheduler
        assert (mine.models, mine.optimizers) == ([model], [optimizer])
        assert [wrapped.scheduler for wrapped in mine.lr_schedulers] == [scheduler]

    @pytest.mark.parametrize("name", ["begin_training", "end_batch", "steps_after_batches", "begin_profiling", "end", "scalar_writer"])
    def test_what_only_the_adapter_may_do_is_not_offered(self, name: str) -> None:
        """A trial that called it would upset its own training."""
        assert not hasattr(context(), name)

    @pytest.mark.parametrize("passes", [0, -1, 1.5, "2"])
    def test_a_number_of_passes_that_makes_no_sense_is_refused(self, passes: Any) -> None:
        """By its value."""
        optimizer = torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=1)
        with pytest.raises(ArgumentError, match=f"backward_passes_per_step must be .*got {passes!r}"):
            context().wrap_optimizer(optimizer, backward_passes_per_step=passes)
        with pytest.raises(ArgumentError, match=f"aggregation_frequency must be .*got {passes!r}"):
            context(optimizations={"aggregation_frequency": passes}).wrap_optimizer(optimizer)

    @pytest.mark.parametrize(("cut", "what"), [("context.wrap_model", "model"), ("context.wrap_optimizer", "optimizer")])
    def test_a_trial_that_wraps_nothing_is_refused(self, line: Definition, cut: str, what: str) -> None:
        """The message says what to add."""
        line.edit(f"{cut}(", "(")
        with pytest.raises(TrialError, match=rf"wraps no {what}") as raised:
            line.load()
        assert f"wrap_{what}" in (raised.value.hint or "")


class TestWhatItKnows:
    """Hyperparameters, configuration, place in the training."""

    def test_hyperparameters_are_given_one_by_one_or_all_at_once(self) -> None:
        """One by one, or all."""
        mine = context({"lr": 0.1, "net": {"depth": 3}})
        assert mine.get_hparam("lr") == 0.1
        assert mine.get_hparam("net") == {"depth": 3}
        assert mine.get_hparams() == {"lr": 0.1, "net": {"depth": 3}}

    def test_a_missing_one_is_named_and_the_others_listed(self) -> None:
        """With a guess at what was meant; it is a ValueError, too."""
        with pytest.raises(ValueError, match=r"no hyperparameter 'learning_rat'.*dropout, learning_rate") as raised:
            context({"learning_rate": 0.1, "dropout": 0.2}).get_hparam("learning_rat")
        error = raised.value
        assert isinstance(error, HyperparameterError)
        assert error.available == ("dropout", "learning_rate")
        assert "'learning_rate'" in (error.hint or "")
        with pytest.raises(HyperparameterError, match="none"):
            context().get_hparam("lr")

    def test_the_batch_size_per_slot_is_the_global_one(self, caplog: pytest.LogCaptureFixture) -> None:
        """On one GPU the two are the same; asking for the global one as a hyperparameter is warned of."""
        mine = context({"global_batch_size": 64})
        assert mine.get_global_batch_size() == mine.get_per_slot_batch_size() == 64
        with caplog.at_level(logging.WARNING, logger="detjupyter"):
            assert mine.get_hparam("global_batch_size") == 64
        assert "get_per_slot_batch_size" in caplog.text

    def test_the_batch_size_of_old_is_recognised(self) -> None:
        """The hint says what it is called now."""
        with pytest.raises(HyperparameterError, match="got None") as raised:
            context({"batch_size": 64}).get_global_batch_size()
        assert raised.value.hint == "Rename batch_size to global_batch_size."

    @pytest.mark.parametrize("size", [None, "64", 6.4, True, -1])
    def test_a_batch_size_that_is_no_number_is_refused(self, size: Any) -> None:
        """By its value."""
        with pytest.raises(HyperparameterError, match=f"got {size!r}"):
            context({"global_batch_size": size} if size else {}).get_per_slot_batch_size()

    def test_a_context_gives_configuration_data_and_seed(self) -> None:
        """Configuration, data, seed, and the one process there is."""
        mine = context(name="x", data={"dir": "d"})
        assert mine.get_experiment_config() == {"name": "x", "data": {"dir": "d"}}
        assert (mine.get_data_config(), context().get_data_config()) == ({"dir": "d"}, {})
        assert mine.get_trial_seed() == 7
        assert (mine.distributed.get_rank(), mine.distributed.get_size(), mine.distributed.get_local_rank()) == (0, 1, 0)
        assert torch.equal(mine.to_device(torch.ones(1)), torch.ones(1))

    def test_the_place_in_the_training(self) -> None:
        """Indices from 0; before the first batch there is none."""
        mine = context()
        for ask in (mine.current_train_batch, mine.current_train_epoch, mine.is_epoch_start, mine.is_epoch_end):
            with pytest.raises(TrialError, match="no training has started"):
                ask()
        places = []
        for batch_idx in range(5):
            mine.batch_idx, mine.batches_per_epoch = batch_idx, 2
            places.append((mine.current_train_epoch(), mine.is_epoch_start(), mine.is_epoch_end()))
        assert places == [(0, True, False), (0, False, True), (1, True, False), (1, False, True), (2, True, False)]

    def test_without_an_epoch_length_all_is_one_epoch(self) -> None:
        """It begins and never ends."""
        mine = context()
        mine.batch_idx, mine.batches_per_epoch = 0, None
        assert (mine.current_train_epoch(), mine.is_epoch_start(), mine.is_epoch_end()) == (0, True, False)


class TestOneProcess:
    """What a context says of the other processes of a training: there are none."""

    def test_the_world_is_one_process(self) -> None:
        """By the names of every era."""
        mine = context()
        world = mine.distributed
        assert (mine.get_rank(), mine.get_local_rank(), mine.get_size()) == (0, 0, 1)
        assert (world.rank, world.size, world.local_rank, world.local_size, world.cross_rank, world.num_agents) == (0, 1, 0, 1, 0, 1)
        assert world.gather(3) == world.allgather(3) == world.gather_local(3) == world.allgather_local(3) == [3]
        assert world.broadcast(3) == world.broadcast_local(3) == 3
        assert (mine.get_experiment_id(), mine.get_trial_id()) == (1, 1)

    @pytest.mark.parametrize("slots", [0, 1, 4])
    def test_a_kernel_is_one_slot_whatever_the_config_asks_for(self, slots: int) -> None:
        """The batch size per slot is the global one, for 0 slots, too."""
        mine = context({"global_batch_size": 6}, resources={"slots_per_trial": slots})
        assert (mine.get_per_slot_batch_size(), mine.get_global_batch_size()) == (6, 6)
        assert mine.distributed.get_num_agents() == 1

    def test_what_concerns_several_processes_is_taken(self) -> None:
        """`fp16_compression` changes nothing; the optimizer comes back and is listed."""
        mine = context()
        optimizer = torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=1)
        assert mine.wrap_optimizer(optimizer, backward_passes_per_step=2, fp16_compression=True) is optimizer
        assert mine.optimizers == [optimizer]


class TestWithoutATraining:
    """``PyTorchTrialContext.from_config``."""

    def test_from_config_builds_a_trial_by_hand(self, line: Definition) -> None:
        """Ranges are sampled with the config's seed; what is wrapped comes back as it is, and can be trained without any session."""
        raw = {
            "hyperparameters": {"lr": {"type": "log", "minval": -3, "maxval": -1, "base": 10}},
            "reproducibility": {"experiment_seed": 5},
        }
        one, two = (PyTorchTrialContext.from_config(raw) for _ in range(2))
        assert one.get_hparam("lr") == two.get_hparam("lr")
        assert 1e-3 <= one.get_hparam("lr") <= 1e-1
        assert one.get_trial_seed() == 5
        trial = line.load().definition.import_trial("model_def:LineTrial")(one)
        batch = next(iter(trial.build_training_data_loader()))
        before = trial.model[0].weight.clone()
        trial.train_batch(batch=batch, epoch_idx=0, batch_idx=0)
        assert not torch.equal(before, trial.model[0].weight)
        assert one.models == []

    def test_a_context_without_a_training_gives_everything_back_as_it_was(self) -> None:
        """`from_config`: `wrap_*` return what they are given and keep nothing; there are ids, hyperparameters and a seed."""
        mine = PyTorchTrialContext.from_config({"hyperparameters": {"lr": 0.5, "global_batch_size": 4}})
        model = torch.nn.Linear(1, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
        scaler = torch.amp.GradScaler("cpu", enabled=False)
        assert mine.wrap_scaler(scaler) is scaler
        assert mine.wrap_model(model) is model
        assert next(model.parameters()).device.type == mine.device.type
        assert mine.wrap_optimizer(optimizer) is optimizer
        assert mine.wrap_lr_scheduler(scheduler, LRScheduler.StepMode.STEP_EVERY_BATCH) is scheduler
        assert mine.configure_apex_amp(model, optimizer, enabled=True, opt_level="O1") == (model, optimizer)
        assert (mine.models, mine.optimizers, mine.lr_schedulers, mine.scaler) == ([], [], [], None)
        assert (mine.get_trial_id(), mine.get_experiment_id(), mine.get_trial_seed()) == (1, 1, 0)
        assert (mine.get_hparam("lr"), mine.get_per_slot_batch_size()) == (0.5, 4)


class TestFewUse:
    """Members that few trials use."""

    def test_a_stop_can_be_asked_for_and_taken_back(self) -> None:
        """The getter tells what was set."""
        mine = context()
        seen = [mine.get_stop_requested()]
        for asked in (True, False):
            mine.set_stop_requested(asked)
            seen.append(mine.get_stop_requested())
        assert seen == [False, True, False]

    def test_a_scheduler_of_an_optimizer_that_is_not_wrapped(self) -> None:
        """Is refused, with what to do."""
        optimizer = torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=1)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
        with pytest.raises(TrialError, match="is not wrapped"):
            context().wrap_lr_scheduler(scheduler, LRScheduler.StepMode.STEP_EVERY_BATCH)
        mine = context()
        mine.wrap_optimizer(optimizer)
        assert mine.wrap_lr_scheduler(scheduler, LRScheduler.StepMode.STEP_EVERY_BATCH, frequency=2) is scheduler

    def test_a_name_that_is_not_there_says_what_may_be_meant(self) -> None:
        """And what is out of scope."""
        with pytest.raises(AttributeError, match=r"has no 'wrap_models'\. Did you mean 'wrap_model'"):
            context().wrap_models  # noqa: B018
        with pytest.raises(AttributeError, match=r"in one process, without horovod or DeepSpeed\.$"):
            context().use_pipeline_parallel  # noqa: B018
        with pytest.raises(AttributeError, match="Did you mean 'optimizers'"):
            context().optimizer  # noqa: B018

    def test_the_environment_of_2020(self) -> None:
        """`context.env` gives the config, the hyperparameters and the seed, and says that this is the first step."""
        mine = context()
        assert mine.env.first_step() == 0
        assert mine.env.experiment_config == mine.get_experiment_config()
        assert mine.env.hparams == mine.get_hparams()
        assert mine.env.trial_seed == mine.get_trial_seed()
        with pytest.raises(AttributeError, match="has no 'rendezvous_info'"):
            mine.env.rendezvous_info  # noqa: B018

    def test_the_only_one_is_asked_for_where_there_are_more(self) -> None:
        """The message says where all of them are."""
        mine = context()
        assert mine.get_lr_scheduler() is None
        with pytest.raises(TrialError, match="There are 0 models") as raised:
            mine.get_model()
        assert "context.models" in (raised.value.hint or "")
        optimizer = mine.wrap_optimizer(torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=1))
        assert mine.get_optimizer() is optimizer
        for _ in range(2):
            mine.wrap_lr_scheduler(torch.optim.lr_scheduler.StepLR(optimizer, 1), LRScheduler.StepMode.STEP_EVERY_BATCH)
        with pytest.raises(TrialError, match="There are 2 LR schedulers") as raised:
            mine.get_lr_scheduler()
        assert "context.lr_schedulers" in (raised.value.hint or "")

    def test_a_training_goes_on_from_where_it_was(self, line: Definition) -> None:
        """The trial can ask where it began."""
        line.edit("        x, y = batch\n", "        self.begun = self.context.get_initial_batch()\n        x, y = batch\n")
        session = line.load()
        session.train(batches=3, wait=True)
        assert (session.trial.begun, session.trial.context.get_stop_requested()) == (0, False)
        session.train(batches=2, wait=True)
        assert session.trial.begun == 3

    def test_a_batch_stays_as_the_loader_made_it(self, line: Definition) -> None:
        """Where the trial moves it itself."""
        line.edit(
            "        self.context = context\n", "        self.context = context\n        context.experimental.disable_auto_to_device()\n"
        )
        session = line.load()
        session.context.device = torch.device("meta")  # where nothing could be computed
        session.train(batches=2, wait=True)
        assert len(session.metrics("loss")[1]) == 2

    @pytest.mark.parametrize("set_", [lambda mine: mine.set_stop_requested, lambda mine: mine.set_enable_tensorboard_logging])
    def test_switches_take_bools(self, set_: Callable[[Any], Any]) -> None:
        """Anything else is an AssertionError, as in Determined."""
        with pytest.raises(AssertionError):
            set_(context())(1)


class TestProfiler:
    """``set_profiler``."""

    def test_a_profiler_that_never_ran_is_closed(self, line: Definition) -> None:
        """A trial is loaded and released without training."""
        line.edit("        self.context = context\n", "        self.context = context\n        context.set_profiler()\n")
        line.load().close()

    def test_the_profiler_is_stepped_after_every_batch(self, line: Definition) -> None:
        """And stopped at the end."""
        line.edit(
            "        self.context = context\n",
            "        self.context = context\n        self.steps = []\n"
            "        context.set_profiler(activities=[torch.profiler.ProfilerActivity.CPU],\n"
            "            schedule=lambda step: self.steps.append(step) or torch.profiler.ProfilerAction.NONE)\n",
        )
        session = line.load()
        session.train(batches=4, wait=True)
        steps = session.trial.steps
        session.close()
        assert steps[:5] == [0, 1, 2, 3, 4]
