"""What a PyTorch trial is given, and what it must not do with it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
import torch

from detjupyter.definition.config import Config
from detjupyter.errors import HyperparameterError, TrialError
from detjupyter.pytorch import PyTorchTrialContext

if TYPE_CHECKING:
    from integration.conftest import Definition


def context(hparams: dict[str, Any] | None = None, **raw: Any) -> PyTorchTrialContext:
    """Return a context on the CPU."""
    return PyTorchTrialContext(Config(raw=raw, hyperparameters=hparams or {}, data=raw.get("data", {})), seed=7, device=torch.device("cpu"))


class TestWrapping:
    """Models and optimizers."""

    def test_models_go_to_the_device_and_come_back(self) -> None:
        """The very same objects, in order."""
        mine = PyTorchTrialContext(Config(), seed=0, device=torch.device("meta"))
        models = [torch.nn.Linear(1, 1), torch.nn.Linear(2, 2)]
        assert [mine.wrap_model(model) for model in models] == models == mine.models
        assert models[1].weight.device.type == "meta"

    @pytest.mark.parametrize("passes", [0, -1, 1.5, "2"])
    def test_a_number_of_passes_that_makes_no_sense_is_refused(self, passes: Any) -> None:
        """By its value."""
        optimizer = torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=1)
        with pytest.raises(HyperparameterError, match=f"backward_passes_per_step is .*not {passes!r}"):
            context().wrap_optimizer(optimizer, backward_passes_per_step=passes)
        with pytest.raises(HyperparameterError, match=f"aggregation_frequency is .*not {passes!r}"):
            context(optimizations={"aggregation_frequency": passes}).wrap_optimizer(optimizer)

    @pytest.mark.parametrize(("cut", "what"), [("context.wrap_model", "model"), ("context.wrap_optimizer", "optimizer")])
    def test_a_trial_that_wraps_nothing_is_refused(self, line: Definition, cut: str, what: str) -> None:
        """The message says what to add."""
        line.edit(f"{cut}(", "(")
        with pytest.raises(TrialError, match=rf"wraps no {what}") as raised:
            line.load()
        assert f"wrap_{what}" in (raised.value.hint or "")


class TestStepping:
    """Gradients become updates."""

    def train(self, batches: list[torch.Tensor], *, wrap: dict[str, Any] | None = None, clip: Any = None, **optimizations: Any) -> Any:
        """Train a linear model on each batch in turn; return its parameters."""
        mine = context(optimizations=optimizations)
        torch.manual_seed(0)
        model = mine.wrap_model(torch.nn.Linear(3, 1).double())
        optimizer = mine.wrap_optimizer(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), **(wrap or {}))
        for index, batch in enumerate(batches):
            mine.batch_idx, mine.batches_per_epoch = index, None
            mine.backward((model(batch) ** 2).mean())
            mine.step_optimizer(optimizer, clip_grads=clip)
        return [parameter.detach().clone() for parameter in model.parameters()]

    @pytest.mark.parametrize(
        "how",
        [
            {"aggregation_frequency": 4},
            {"wrap": {"backward_passes_per_step": 4}},
            {"aggregation_frequency": 2, "wrap": {"backward_passes_per_step": 2}},
        ],
    )
    def test_four_batches_aggregated_equal_one_big_batch(self, how: dict[str, Any]) -> None:
        """Averaged gradients of equal batches are those of all records."""
        records = torch.randn(3, 16, 3, dtype=torch.double, generator=torch.Generator().manual_seed(1))
        big = self.train(list(records))
        small = self.train([part for batch in records for part in batch.split(4)], **how)
        for one, other in zip(big, small, strict=True):
            torch.testing.assert_close(one, other)

    def test_gradients_may_be_summed_instead(self) -> None:
        """Then the update is as many times larger."""
        records = torch.randn(1, 16, 3, dtype=torch.double, generator=torch.Generator().manual_seed(1))
        parts = [part for batch in records for part in batch.split(4)]
        start = self.train([])
        averaged = self.train(parts, aggregation_frequency=4)
        for how in ({"average_aggregated_gradients": False}, {"wrap": {"average_aggregated_gradients": False}}):
            summed = self.train(parts, aggregation_frequency=4, **how)  # type: ignore[arg-type]
            for begin, mean, total in zip(start, averaged, summed, strict=True):
                torch.testing.assert_close((mean - begin) * 4, total - begin)

    def test_gradients_are_clipped_before_the_update(self) -> None:
        """What clips is given the optimizer's parameters, once for each update."""
        calls: list[int] = []

        def clip(parameters: list[torch.nn.Parameter]) -> None:
            calls.append(len(parameters))
            for parameter in parameters:
                assert parameter.grad is not None
                parameter.grad.zero_()

        batches = [torch.ones(2, 3, dtype=torch.double)] * 4
        for begin, end in zip(self.train([]), self.train(batches, clip=clip, aggregation_frequency=2), strict=True):
            assert torch.equal(begin, end)
        assert calls == [2, 2]

    def test_gradients_are_zeroed_unless_asked_not_to(self) -> None:
        """auto_zero_grads=False leaves them for the user."""
        mine = context()
        model = mine.wrap_model(torch.nn.Linear(1, 1))
        optimizer = mine.wrap_optimizer(torch.optim.SGD(model.parameters(), lr=0.1))
        mine.batch_idx, mine.batches_per_epoch = 0, 10
        for keep in (True, False):
            mine.backward(model(torch.ones(1, 1)).sum())
            mine.step_optimizer(optimizer, auto_zero_grads=not keep)
            assert (model.weight.grad is not None) is keep

    def test_somebodys_own_way_of_zeroing_is_kept(self) -> None:
        """A class that overrides it, and an object on which it was replaced."""

        class Own(torch.optim.SGD):
            def zero_grad(self, set_to_none: bool = True) -> None:  # noqa: ARG002
                calls.append("class")
                super().zero_grad(set_to_none=False)

        calls: list[str] = []
        mine = context()
        model = mine.wrap_model(torch.nn.Linear(1, 1))
        overriding = mine.wrap_optimizer(Own(model.parameters(), lr=0.1))
        replaced = mine.wrap_optimizer(torch.optim.SGD(model.parameters(), lr=0.1))
        replaced.zero_grad = lambda: calls.append("object")  # type: ignore[method-assign, misc]
        mine.batch_idx, mine.batches_per_epoch = 0, 10
        for optimizer in (overriding, replaced):
            mine.backward(model(torch.ones(1, 1)).sum())
            mine.step_optimizer(optimizer)
        assert calls == ["class", "object"]

    def test_misuse_is_explained(self) -> None:
        """Each with what to do instead."""
        mine = context(optimizations={"aggregation_frequency": 2})
        optimizer = torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=0.1)
        with pytest.raises(TrialError, match="not wrapped") as raised:
            mine.step_optimizer(optimizer)
        assert "wrap_optimizer" in (raised.value.hint or "")
        mine.wrap_optimizer(optimizer)
        with pytest.raises(TrialError, match="no training has started"):
            mine.step_optimizer(optimizer)
        mine.batch_idx, mine.batches_per_epoch = 0, None
        with pytest.raises(TrialError, match="auto_zero_grads=False does not go together"):
            mine.step_optimizer(optimizer, auto_zero_grads=False)

    def test_misuse_inside_a_definition_points_at_its_line(self, line: Definition) -> None:
        """At loading and in a batch."""
        line.edit(
            "self.context.step_optimizer(self.optimizer)", "self.context.step_optimizer(torch.optim.SGD(self.model.parameters(), lr=1))"
        )
        session = line.load()
        with pytest.raises(TrialError, match="not wrapped") as raised:
            session.step()
        assert "model_def.py" in str(raised.value)
        assert "in train_batch" in str(raised.value)
        line.edit("self.context = context", "context.step_optimizer(None)")
        with pytest.raises(TrialError, match="not wrapped") as raised:
            line.load()
        assert "in __init__" in str(raised.value)


class TestWhatItKnows:
    """Hyperparameters, configuration, place in the training."""

    def test_hyperparameters(self) -> None:
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

    def test_batch_sizes(self, caplog: pytest.LogCaptureFixture) -> None:
        """On one GPU the two are the same; asking for the global one as a hyperparameter is warned of."""
        mine = context({"global_batch_size": 64})
        assert mine.get_global_batch_size() == mine.get_per_slot_batch_size() == 64
        with caplog.at_level(logging.WARNING, logger="detjupyter"):
            assert mine.get_hparam("global_batch_size") == 64
        assert "get_per_slot_batch_size" in caplog.text

    def test_the_batch_size_of_old_is_recognised(self) -> None:
        """The hint says what it is called now."""
        with pytest.raises(HyperparameterError, match="not None") as raised:
            context({"batch_size": 64}).get_global_batch_size()
        assert "Rename batch_size" in (raised.value.hint or "")

    @pytest.mark.parametrize("size", [None, "64", 6.4, True, -1])
    def test_a_batch_size_that_is_no_number_is_refused(self, size: Any) -> None:
        """By its value."""
        with pytest.raises(HyperparameterError, match=f"not {size!r}"):
            context({"global_batch_size": size} if size else {}).get_per_slot_batch_size()

    def test_the_rest(self) -> None:
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
