"""Gradients become updates: aggregated, clipped, zeroed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.contexts import context
from support.definition import Definition

from detjupyter.errors import TrialError
from detjupyter.pytorch import PyTorchTrialContext


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
        with pytest.raises(TrialError, match="was called before the training started"):
            mine.step_optimizer(optimizer)
        mine.batch_idx, mine.batches_per_epoch = 0, None
        with pytest.raises(TrialError, match="auto_zero_grads=False cannot be combined"):
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


class TestBackward:
    """``backward`` and ``step_optimizer``."""

    @pytest.mark.filterwarnings("ignore:Using backward:UserWarning")
    def test_backward_takes_what_torchs_does(self) -> None:
        """`gradient` weights the elements of a loss, `retain_graph` allows a second pass, `create_graph` a derivative of it."""
        mine = context()
        weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
        loss = weight**2
        for _ in range(2):
            mine.backward(loss, gradient=torch.tensor([1.0, 0.5]), retain_graph=True)
        assert weight.grad is not None
        assert weight.grad.tolist() == [4.0, 4.0]
        weight.grad = None
        mine.backward((weight**3).sum(), create_graph=True)
        assert weight.grad.requires_grad

    def test_what_clips_gets_a_list(self) -> None:
        """It may be gone through twice."""
        mine = context()
        weight = torch.nn.Parameter(torch.zeros(2))
        optimizer = mine.wrap_optimizer(torch.optim.SGD([weight], lr=1.0))
        given: list[Any] = []
        mine.batch_idx = 0
        mine.backward(weight.sum())
        mine.step_optimizer(optimizer, clip_grads=given.append)
        (parameters,) = given
        assert isinstance(parameters, list)
        assert parameters[0] is weight

    def test_gathering_by_hand_takes_a_step_at_once(self) -> None:
        """Without a training around it there is one batch, whose gradients are not divided."""
        mine = PyTorchTrialContext.from_config({"optimizations": {"aggregation_frequency": 4}})
        weight = torch.nn.Parameter(torch.zeros(1))
        optimizer = mine.wrap_optimizer(torch.optim.SGD([weight], lr=1.0))
        mine.backward(weight.sum())
        mine.step_optimizer(optimizer)
        assert weight.item() == -1.0

    def test_gradients_are_zeroed_after_updates_never_before(self, line: Definition) -> None:
        """Those that the trial set before the first batch are part of the first update."""
        line.edit("torch.optim.Adam(", "torch.optim.SGD(")
        line.edit(
            "    def build_training_data_loader",
            "        for parameter in self.model.parameters():\n"
            "            parameter.grad = torch.full_like(parameter, context.get_hparam('left'))\n\n"
            "    def build_training_data_loader",
        )
        weights = []
        for left in (0.0, 1.0):
            session = line.load(hparams={"left": left, "lr": 0.5})
            session.train(batches=1, wait=True)
            weights.append(session.trial.model[0].weight.detach().clone())
            session.close()
        torch.testing.assert_close(weights[1], weights[0] - 0.5)
