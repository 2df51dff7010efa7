"""``--compile``: torch.compile for a trial's models, and the way back."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from detjupyter.errors import TrialError
from detjupyter.pytorch import compilation
from detjupyter.pytorch.compilation import compile_model

if TYPE_CHECKING:
    from support.definition import Definition


class BackendTroubleError(Exception):
    """Represents an error of a compiler."""

    __module__ = "torch._inductor.exc"


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch trace the code but run it without a C compiler, because it might not be installed."""
    original = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function: original(function, backend="eager"))


@pytest.mark.usefixtures("eager")
def test_a_compiled_model_computes_the_same_and_keeps_its_names() -> None:
    """It can be copied, and its state fits the model as it was."""
    torch.manual_seed(0)
    model, inputs = nn.Sequential(nn.Linear(3, 4), nn.ReLU()), torch.randn(5, 3)
    expected, names = model(inputs), list(model.state_dict())
    compile_model(model)
    assert torch.equal(model(inputs), expected)
    assert list(model.state_dict()) == names
    assert torch.equal(copy.deepcopy(model)(inputs), expected)


def test_a_compiler_that_fails_is_reported_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The model runs uncompiled."""

    def fail(*_: object) -> None:
        raise BackendTroubleError("no C compiler\nand more")

    monkeypatch.setattr(compilation.torch, "compile", lambda _: fail)
    model, inputs = nn.Linear(3, 4), torch.randn(5, 3)
    expected = model(inputs)
    compile_model(model)
    assert torch.equal(model(inputs), expected)
    assert torch.equal(model(inputs), expected)
    assert [record.message for record in caplog.records] == [
        "Linear runs uncompiled, because torch.compile failed: BackendTroubleError: no C compiler"
    ]


@pytest.mark.usefixtures("eager")
def test_what_the_model_raises_is_its_own() -> None:
    """A wrong shape is not an error of the compiler; the message is that of the model."""
    model = nn.Linear(3, 4)
    compile_model(model)
    with pytest.raises(RuntimeError, match=r"mat1 and mat2 shapes|size mismatch|must match|incompatible"):
        model(torch.randn(5, 2))


@pytest.mark.usefixtures("eager")
def test_a_trial_trains_compiled(line: Definition) -> None:
    """The losses equal those without compilation, on the CPU with the same seed; an error in the trial's code is reported as usual."""
    plain, compiled = line.load(), line.load(compile=True)
    assert any("compiled at their first batch" in note for note in compiled.card().notes)
    for session in (plain, compiled):
        session.train(batches=6, wait=True)
    assert compiled.metrics("loss")[1].tolist() == plain.metrics("loss")[1].tolist()
    assert compiled.trial.model._compiled_call_impl is not None
    line.edit("def train_batch(self, batch, epoch_idx, batch_idx):", "def train_batch(self, batch, epoch_idx, batch_idx):\n        1 / 0")
    with pytest.raises(TrialError, match="ZeroDivisionError"):
        line.load(compile=True).train(batches=1, wait=True)
