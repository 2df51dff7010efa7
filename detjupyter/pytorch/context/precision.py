"""The precision of a trial: full, automatic mixed precision, or mixed precision by hand with the trial's own scaler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from detjupyter.errors import TrialUsageError
from detjupyter.framework.warning import warn
from detjupyter.pytorch.amp import autocast_forward, make_scaler

_OPT_LEVELS = ("O0", "O1", "O2", "O3")  # apex's


class Precision:
    """The precision of one trial, shared by its context and its experimental switches.

    Attributes:
        scaler: The scaler of losses in mixed precision; None in full precision.
        is_automatic: Whether wrapped models run their forward pass in half precision automatically.
    """

    def __init__(self, device: torch.device) -> None:
        self.scaler: torch.amp.GradScaler | None = None
        self.is_automatic = False
        self._device = device
        self._has_stepped = False

    def use_automatic(self, models: Sequence[torch.nn.Module]) -> None:
        """Use automatic mixed precision for models that are wrapped later; see ``context.experimental.use_amp``."""
        if models:
            raise TrialUsageError(
                "context.experimental.use_amp() must be called before context.wrap_model().",
                f"{len(models)} are wrapped already." if len(models) > 1 else "A model is wrapped already.",
            )
        if self.scaler is not None:
            raise TrialUsageError(
                "use_amp() creates its own scaler.", "A scaler was wrapped with wrap_scaler().", "Leave one of the two out."
            )
        self.is_automatic = True
        self.scaler = make_scaler(self._device)

    def use_apex_level(self, opt_level: str, models: Sequence[torch.nn.Module]) -> None:
        """Use automatic mixed precision, in place of the levels O1 to O3 of ``apex``, for these models and those that are wrapped later."""
        if self._device.type == "cpu":
            warn(f"configure_apex_amp() needs a GPU; on the CPU the trial trains in full precision instead of {opt_level}.")
        elif not self.is_automatic:
            if self.scaler is not None:
                raise TrialUsageError("Mixed precision was requested twice.", "There is a scaler already.", "Leave one of the two out.")
            self.is_automatic = True
            self.scaler = make_scaler(self._device)
            for model in models:  # unlike use_amp(), trials call configure_apex_amp() after wrap_model()
                autocast_forward(model, self._device)

    def use_scaler(self, scaler: Any, models: Sequence[torch.nn.Module], *, managed: bool) -> None:
        """Register the trial's own scaler; see ``context.wrap_scaler``. If no session trains the trial, the scaler is only checked."""
        if self.scaler is not None:
            raise TrialUsageError(
                "A trial can have only one scaler.", "wrap_scaler() or use_amp() was called before.", "Leave one of them out."
            )
        if models:
            raise TrialUsageError("wrap_scaler() must be called before wrap_model().", "A model is wrapped already.")
        if managed:
            self.scaler = scaler

    def apply_to(self, model: torch.nn.Module) -> None:
        """Make the forward pass of ``model`` run in this precision."""
        if self.is_automatic:
            autocast_forward(model, self._device)

    def scaled(self, loss: torch.Tensor) -> torch.Tensor:
        """Return the loss to call ``backward`` on."""
        return self.scaler.scale(loss) if self.scaler is not None and self.is_automatic else loss

    def step(self, optimizer: torch.optim.Optimizer, scaler: Any) -> None:
        """Step an optimizer, through ``scaler`` if there is one."""
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
            self._has_stepped = True

    def end_batch(self) -> None:
        """Update the scaler if it stepped an optimizer. Optimizers that share it need one update per batch, after the last step."""
        if self._has_stepped:  # torch's update() raises if the scaler has not stepped an optimizer since the last one
            self._has_stepped = False
            if self.is_automatic and self.scaler is not None:
                self.scaler.update()


def require_opt_level(opt_level: str) -> None:
    """Raise a TrialUsageError if ``apex`` has no such level."""
    if opt_level not in _OPT_LEVELS:
        raise TrialUsageError(f"opt_level must be one of {', '.join(_OPT_LEVELS)}.", f"It is {opt_level!r}.")
