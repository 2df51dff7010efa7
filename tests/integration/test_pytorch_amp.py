"""Mixed precision, automatic and by hand."""

from __future__ import annotations

import collections
import copy
import logging
from typing import Any

import pytest
import torch

from detjupyter.definition.config import Config
from detjupyter.errors import TrialError
from detjupyter.pytorch import PyTorchTrialContext
from detjupyter.pytorch.amp import in_full_precision
from detjupyter.pytorch.context.between_batches import BetweenBatches


def context(hparams: dict[str, Any] | None = None, **raw: Any) -> PyTorchTrialContext:
    """Return a context on the CPU, in its first batch."""
    mine = PyTorchTrialContext(Config(raw=raw, hyperparameters=hparams or {}), seed=7, device=torch.device("cpu"))
    mine.batch_idx = 0
    return mine


class FakeScaler:
    """Records its calls; a real GradScaler only works on a GPU."""

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
        BetweenBatches(mine).end_batch()
        assert scaler.calls == ["scale", *(["unscale"] if clip else []), "step", "update"]
        assert seen == ([1.0] if clip else [])

    def test_it_comes_first_and_alone(self) -> None:
        """Before models, and not with a scaler of the trial's own."""
        mine = context()
        mine.wrap_model(torch.nn.Linear(1, 1))
        with pytest.raises(TrialError, match="must be called before"):
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
            BetweenBatches(mine).end_batch()
        assert scaler.calls == ["scale", "step", "update", "scale", "step", "step", "update"]

    def test_nested_results_come_back_in_full_precision(self) -> None:
        """Results in any nesting are converted; values that are not half-precision tensors do not change."""
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
        BetweenBatches(mine).end_batch()
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
        """On the CPU there is a warning, and all objects are returned unchanged."""
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


class TestApex:
    """``configure_apex_amp``."""

    def test_all_arguments_of_apex_are_taken(self) -> None:
        """By the names that apex had; without a GPU all is as before."""
        mine = context()
        model = mine.wrap_model(torch.nn.Linear(1, 1))
        optimizer = mine.wrap_optimizer(torch.optim.SGD(model.parameters(), lr=1))
        nones = [
            "cast_model_type",
            "patch_torch_functions",
            "keep_batchnorm_fp32",
            "master_weights",
            "cast_model_outputs",
            "min_loss_scale",
        ]
        options: dict[str, Any] = dict.fromkeys(nones)
        options |= {"loss_scale": "dynamic", "num_losses": 2, "verbosity": 0, "max_loss_scale": 2.0**24}
        returned = mine.configure_apex_amp(models=[model], optimizers=[optimizer], enabled=True, opt_level="O2", **options)
        assert returned == ([model], [optimizer])
        assert mine.scaler is None
