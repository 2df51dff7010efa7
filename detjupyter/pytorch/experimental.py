"""What ``context.experimental`` offers: switches that few trials need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from detjupyter.pytorch.amp import make_scaler
from detjupyter.pytorch.mistakes import mistake

if TYPE_CHECKING:
    from detjupyter.pytorch.context import PyTorchTrialContext


class ExperimentalSwitches:
    """The switches of one trial, and the names that its reducers had before Determined 0.15.2."""

    def __init__(self, context: PyTorchTrialContext) -> None:
        self._context = context
        self.reproducibility_checks = True
        self.auto_to_device = True
        self.auto_amp = False

    def disable_dataset_reproducibility_checks(self) -> None:
        """Allow loaders other than detjupyter.pytorch.DataLoader.

        torch's own loader of a dataset with indices goes on in the middle of a pass as well as ours; of any other iterable, what comes
        before the place in the pass is loaded again and dropped.
        """
        self.reproducibility_checks = False

    def disable_auto_to_device(self) -> None:
        """Hand batches to train_batch and evaluate_batch as the loader made them."""
        self.auto_to_device = False

    def use_amp(self) -> None:
        """Train in automatic mixed precision: forward passes of wrapped models in half precision, gradients scaled where they need it.

        Call it before ``wrap_model``. On the host the passes are in bfloat16, and nothing is scaled.

        Raises:
            TrialError: A model is wrapped already, or a scaler is.
        """
        if self._context.models:
            raise mistake(
                "context.experimental.use_amp() comes before context.wrap_model()",
                f"{len(self._context.models)} are wrapped already." if len(self._context.models) > 1 else "A model is wrapped already.",
            )
        if self._context.scaler is not None:
            raise mistake("use_amp() makes its own scaler", "A scaler was wrapped with wrap_scaler().", "Leave one of the two out.")
        self.auto_amp = True
        self._context.scaler = make_scaler(self._context.device)

    def wrap_reducer(self, reducer: Any, name: str | None = None, for_training: bool = True, for_validation: bool = True) -> Any:
        """See ``context.wrap_reducer``."""
        return self._context.wrap_reducer(reducer, name, for_training, for_validation)

    def reset_reducers(self) -> None:
        """Let all custom reducers begin anew."""
        for training in (True, False):
            self._context.reducers.reset(training=training)

    def reduce_metrics(self, for_training: bool) -> dict[str, Any]:
        """Return the metrics of the custom reducers."""
        return self._context.reducers.reduce(training=for_training)
