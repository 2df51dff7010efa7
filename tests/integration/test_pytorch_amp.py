"""Mixed precision, automatic and by hand; and what else a context offers that few trials use."""

from __future__ import annotations

import collections
import copy
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import torch

from detjupyter.definition.config import Config
from detjupyter.errors import TrialError
from detjupyter.pytorch import LRScheduler, PyTorchTrialContext
from detjupyter.pytorch.amp import in_full_precision

if TYPE_CHECKING:
    from integration.conftest import Definition


def context(hparams: dict[str, Any] | None = None, **raw: Any) -> PyTorchTrialContext:
    """Return a context on the CPU, in its first batch."""
    mine = PyTorchTrialContext(Config(raw=raw, hyperparameters=hparams or {}), seed=7, device=torch.device("cpu"))
    mine.batch_idx = 0
    return mine


class FakeScaler:
    """Notes what it is asked for; a GradScaler works on a GPU only."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def scale(self, loss: torch.Tensor) -> torch.Tensor:
        """Double it."""
        self.calls.append("scale")
        return loss * 2

    def unscale_(self, optimizer: torch.optim.Optimizer) -> None:
        """Halve the gradients."""
        self.calls.append("unscale")
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad.div_(2)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Step."""
        self.calls.append("step")
        optimizer.step()

    def update(self) -> None:
        """Do nothing."""
        self.calls.append("update")

    def state_dict(self) -> dict[str, Any]:
        """Return how often it was asked."""
        return {"calls": len(self.calls)}


class TestAutomatic:
    """context.experimental.use_amp()."""

    def test_forward_passes_are_in_half_precision_and_results_are_not(self) -> None:
        """On the CPU in bfloat16, without a scaler that does anything; names, class and copies stay the model's own."""
        mine = context()
        mine.experimental.use_amp()
        seen = []

        class Net(torch.nn.Linear):
            def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 -- torch's name
                result = super().forward(input)
                seen.append(result.dtype)
                return result

        model = mine.wrap_model(Net(3, 2))
        result = model(torch.randn(4, 3))
        assert (seen, result.dtype) == ([torch.bfloat16], torch.float32)
        assert isinstance(model, Net)
        assert list(model.state_dict()) == ["weight", "bias"]
        twin = copy.deepcopy(model)
        assert twin.weight is not model.weight
        assert torch.equal(twin(torch.ones(1, 3)), model(torch.ones(1, 3)))
        assert mine.scaler is not None
        assert not mine.scaler.is_enabled()

    @pytest.mark.parametrize("clip", [False, True])
    def test_losses_are_scaled_and_gradients_unscaled_before_they_are_clipped(self, clip: bool) -> None:
        """The scaler is updated after the batch, once."""
        mine = context()
        mine.experimental.use_amp()
        mine.scaler = scaler = FakeScaler()  # type: ignore[assignment]
        model = mine.wrap_model(torch.nn.Linear(1, 1))
        optimizer = mine.wrap_optimizer(torch.optim.SGD(model.parameters(), lr=1.0))
        seen: list[float] = []
        mine.backward(model.weight.sum())
        mine.step_optimizer(optimizer, (lambda parameters: seen.append(parameters[0].grad.item())) if clip else None)
        mine.end_batch()
        assert scaler.calls == ["scale", *(["unscale"] if clip else []), "step", "update"]
        assert seen == ([1.0] if clip else [])

    def test_it_comes_first_and_alone(self) -> None:
        """Before models, and not with a scaler of the trial's own."""
        mine = context()
        mine.wrap_model(torch.nn.Linear(1, 1))
        with pytest.raises(TrialError, match="comes before"):
            mine.experimental.use_amp()
        other = context()
        other.wrap_scaler(FakeScaler())
        with pytest.raises(TrialError, match="its own scaler"):
            other.experimental.use_amp()

    def test_optimizers_that_gather_differently_share_the_scaler(self) -> None:
        """It is updated after every batch that had a step, so that none is refused as the second one."""
        mine = context()
        mine.experimental.use_amp()
        mine.scaler = scaler = FakeScaler()  # type: ignore[assignment]
        model = mine.wrap_model(torch.nn.Linear(1, 1))
        one, two = (
            mine.wrap_optimizer(torch.optim.SGD([parameter], lr=1.0), backward_passes_per_step=passes)
            for parameter, passes in ((model.weight, 1), (model.bias, 2))
        )
        for mine.batch_idx in range(2):
            mine.backward(model(torch.ones(1, 1)).sum())
            mine.step_optimizer(one)
            mine.step_optimizer(two)
            mine.end_batch()
        assert scaler.calls == ["scale", "step", "update", "scale", "step", "step", "update"]

    def test_nested_results_come_back_in_full_precision(self) -> None:
        """Whatever they are in; what is no half-precision tensor stays."""
        half = torch.ones(1, dtype=torch.bfloat16)
        whole = in_full_precision({"a": [half, (half, "text")], "b": torch.ones(1, dtype=torch.int8)})
        assert whole["a"][0].dtype == whole["a"][1][0].dtype == torch.float32
        assert whole["b"].dtype == torch.int8
        assert whole["a"][1][1] == "text"
        given = collections.defaultdict(list, logits=half)
        kept = in_full_precision(given)
        assert kept["logits"].dtype == torch.float32
        assert (kept["more"], given["logits"].dtype) == ([], torch.bfloat16)
        pair = in_full_precision(half.reshape(1, 1).max(dim=1))
        assert (pair.values.dtype, pair.indices.dtype) == (torch.float32, torch.int64)


class TestByHand:
    """context.wrap_scaler()."""

    def test_the_scaler_given_to_a_step_makes_it(self) -> None:
        """And nothing else touches it."""
        mine = context()
        scaler = mine.wrap_scaler(FakeScaler())
        model = mine.wrap_model(torch.nn.Linear(1, 1))
        optimizer = mine.wrap_optimizer(torch.optim.SGD(model.parameters(), lr=1.0))
        mine.backward(model.weight.sum())
        mine.step_optimizer(optimizer, scaler=scaler)
        mine.end_batch()
        assert scaler.calls == ["step"]

    def test_there_is_one_and_it_comes_before_models(self) -> None:
        """As in Determined."""
        mine = context()
        mine.wrap_scaler(FakeScaler())
        with pytest.raises(TrialError, match="one scaler"):
            mine.wrap_scaler(FakeScaler())
        other = context()
        other.wrap_model(torch.nn.Linear(1, 1))
        with pytest.raises(TrialError, match="before wrap_model"):
            other.wrap_scaler(FakeScaler())

    def test_apex_is_answered_without_apex(self, caplog: pytest.LogCaptureFixture) -> None:
        """On the CPU it is told of and everything comes back as it was."""
        mine = context()
        model = mine.wrap_model(torch.nn.Linear(1, 1))
        with caplog.at_level(logging.WARNING, "detjupyter"):
            assert mine.configure_apex_amp([model], [], opt_level="O2", loss_scale="dynamic") == ([model], [])
        assert "full precision" in caplog.text
        caplog.clear()
        mine.configure_apex_amp(model, [], enabled=False)
        assert not caplog.text
        with pytest.raises(TrialError, match="It is 'O9'"):
            mine.configure_apex_amp(model, [], opt_level="O9")


class TestTheRest:
    """Members that few trials use."""

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

    def test_a_scheduler_of_an_optimizer_that_is_not_wrapped(self) -> None:
        """Is refused, with what to do."""
        optimizer = torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=1)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
        with pytest.raises(TrialError, match="is not wrapped"):
            context().wrap_lr_scheduler(scheduler, LRScheduler.StepMode.STEP_EVERY_BATCH)
        mine = context()
        mine.wrap_optimizer(optimizer)
        assert mine.wrap_lr_scheduler(scheduler, LRScheduler.StepMode.STEP_EVERY_BATCH, frequency=2) is scheduler

    def test_the_world_is_one_process(self) -> None:
        """By the names of every era."""
        mine = context()
        world = mine.distributed
        assert (mine.get_rank(), mine.get_local_rank(), mine.get_size()) == (0, 0, 1)
        assert (world.rank, world.size, world.local_rank, world.local_size, world.cross_rank, world.num_agents) == (0, 1, 0, 1, 0, 1)
        assert world.gather(3) == world.allgather(3) == world.gather_local(3) == world.allgather_local(3) == [3]
        assert world.broadcast(3) == world.broadcast_local(3) == 3
        assert (mine.get_experiment_id(), mine.get_trial_id()) == (1, 1)

    def test_a_name_that_is_not_there_says_what_may_be_meant(self) -> None:
        """And what is out of scope."""
        with pytest.raises(AttributeError, match=r"without horovod or DeepSpeed\. Did you mean 'wrap_model'"):
            context().wrap_models  # noqa: B018
        with pytest.raises(AttributeError, match="Did you mean 'optimizers'"):
            context().optimizer  # noqa: B018

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

    def test_gathering_by_hand_takes_a_step_at_once(self) -> None:
        """Without a training around it there is one batch, whose gradients are not divided."""
        mine = PyTorchTrialContext.from_config({"optimizations": {"aggregation_frequency": 4}})
        weight = torch.nn.Parameter(torch.zeros(1))
        optimizer = mine.wrap_optimizer(torch.optim.SGD([weight], lr=1.0))
        mine.backward(weight.sum())
        mine.step_optimizer(optimizer)
        assert weight.item() == -1.0

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

    def test_a_profiler_that_never_ran_is_closed(self, line: Definition) -> None:
        """A trial that is loaded and let go of."""
        line.edit("        self.context = context\n", "        self.context = context\n        context.set_profiler()\n")
        line.load().close()

    @pytest.mark.parametrize("set_", [lambda mine: mine.set_stop_requested, lambda mine: mine.set_enable_tensorboard_logging])
    def test_switches_take_bools(self, set_: Callable[[Any], Any]) -> None:
        """Anything else is an AssertionError, as in Determined."""
        with pytest.raises(AssertionError):
            set_(context())(1)

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
