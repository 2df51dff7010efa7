"""Names of Determined that detjupyter does not answer: they can be imported, and say so when they are used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from detjupyter.errors import UnsupportedError
from detjupyter.next_step import NextStep

_INSTEAD = {
    "determined.keras": "detjupyter trains PyTorch trials so far.",
    "determined.estimator": "detjupyter trains PyTorch trials so far.",
    "determined.horovod": "A kernel trains in one process; leave what concerns several out.",
    "determined.pytorch.deepspeed": "Derive the trial from determined.pytorch.PyTorchTrial.",
    "determined.pytorch.lightning": "Derive the trial from determined.pytorch.PyTorchTrial.",
    "determined.experimental": f"Instead: {NextStep.LOAD}, {NextStep.TRAIN}, {NextStep.RUNS}.",
    "determined.transformers": "Report from a TrainerCallback of your own: `core_context.train.report_training_metrics(…)` in `on_log`.",
}


class Unavailable:
    """Stand in for a class, function or module: every use but attribute access raises."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"<{self._name}, which detjupyter does not offer>"

    def __getattr__(self, name: str) -> Unavailable:
        if name.startswith("__"):
            raise AttributeError(name)
        return Unavailable(f"{self._name}.{name}")

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse."""
        raise self._refusal()

    def __mro_entries__(self, _: Any) -> NoReturn:
        raise self._refusal()

    def _refusal(self) -> UnsupportedError:
        instead = next((text for place, text in _INSTEAD.items() if self._name.startswith(place)), "Leave it out.")
        return UnsupportedError(f"detjupyter does not offer {self._name}.", hint=instead)


def unavailable_names(module: str) -> Callable[[str], Unavailable]:
    """Return the ``__getattr__`` of a module of which nothing is offered; ``module`` is its name as definitions write it."""

    def look_up(name: str) -> Unavailable:
        if name.startswith("__"):
            raise AttributeError(name)
        return Unavailable(f"{module}.{name}")

    return look_up
