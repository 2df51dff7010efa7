"""The parts of Determined's interface that detjupyter does not support, among them the trials of other frameworks."""

from __future__ import annotations

from collections.abc import Iterable

from detjupyter.next_step import NextStep

_PYTORCH_ONLY = "detjupyter trains PyTorch trials so far."
_ONE_PROCESS = "A kernel trains in one process: leave out what concerns several."
_DERIVE = "Derive the trial from `determined.pytorch.PyTorchTrial`."
_INSTEAD_OF_CLUSTER = f"Instead: {NextStep.LOAD}, {NextStep.TRAIN}, {NextStep.RUNS}."

#: The known parts of Determined's interface that are not supported: what each is, and what to do instead. The first match applies.
NOT_SUPPORTED = {
    "determined.keras": ("tf.keras trials", _PYTORCH_ONLY),
    "determined.estimator": ("TensorFlow Estimator trials", _PYTORCH_ONLY),
    "determined.tensorpack": ("Tensorpack trials", _PYTORCH_ONLY),
    "determined.pytorch.deepspeed": ("DeepSpeed trials", _DERIVE),
    "determined.pytorch.dsat": ("DeepSpeed autotuning", _DERIVE),
    "determined.pytorch.lightning": ("the Lightning adapter", _DERIVE),
    "determined.pytorch.experimental": ("batch inference", "Loop over the data in a cell; `session.trial` has the trained models."),
    "determined.horovod": ("horovod", _ONE_PROCESS),
    "determined.launch": ("launchers of several processes", _ONE_PROCESS),
    "determined.layers": ("entrypoint scripts of a container", _INSTEAD_OF_CLUSTER),
    "determined.exec": ("entrypoint scripts of a container", _INSTEAD_OF_CLUSTER),
    "determined.searcher": ("custom searchers", f"Train with one set of hyperparameters: {NextStep.LOAD}."),
    "determined.profiler": ("the profiler of a cluster", "`context.set_profiler` profiles."),
    "determined.experimental.client": ("the client of a cluster", _INSTEAD_OF_CLUSTER),
    "determined.experimental": ("the client of a cluster", _INSTEAD_OF_CLUSTER),
    "determined.common.api": ("the client of a cluster", _INSTEAD_OF_CLUSTER),
    "determined.common.experimental": ("the client of a cluster", _INSTEAD_OF_CLUSTER),
    "determined.cli": ("the command line of a cluster", _INSTEAD_OF_CLUSTER),
}

_TRIALS = {
    "DeepSpeedTrial": "determined.pytorch.deepspeed",
    "EstimatorTrial": "determined.estimator",
    "LightningAdapter": "determined.pytorch.lightning",
    "TFKerasTrial": "determined.keras",
    "TensorpackTrial": "determined.tensorpack",
}


def instead_of(name: str) -> str | None:
    """Return what to do instead of using an unsupported name, which is written as in a definition; None if its part is not known.

    Examples:
        >>> instead_of("determined.keras.TFKerasTrial"), instead_of("determined.kerasx")
        ('detjupyter trains PyTorch trials so far.', None)
    """
    return next((instead for part, (_, instead) in NOT_SUPPORTED.items() if f"{name}.".startswith(f"{part}.")), None)


def unsupported_base(bases: Iterable[str]) -> str | None:
    """Return the full name of the first base that is a trial of an unsupported framework; None if none is.

    Args:
        bases: Full names; a name that an ``import *`` provides has no module.

    Examples:
        >>> unsupported_base(["abc.ABC", "determined.keras.TFKerasTrial"]), unsupported_base(["mine.TFKerasTrial"])
        ('determined.keras.TFKerasTrial', None)
    """
    for base in bases:
        module, _, name = base.rpartition(".")
        if name in _TRIALS and (not module or module.partition(".")[0] == "determined"):
            return f"{_TRIALS[name]}.{name}"
    return None
