"""``determined.pytorch`` as a model definition sees it."""

from detjupyter.pytorch import (
    DataLoader,
    DistributedBatchSampler,
    PyTorchTrial,
    PyTorchTrialContext,
    Reducer,
    RepeatBatchSampler,
    SkipBatchSampler,
    TorchData,
    adapt_batch_sampler,
    data_length,
    to_device,
)

__all__ = [
    "DataLoader",
    "DistributedBatchSampler",
    "PyTorchTrial",
    "PyTorchTrialContext",
    "Reducer",
    "RepeatBatchSampler",
    "SkipBatchSampler",
    "TorchData",
    "adapt_batch_sampler",
    "data_length",
    "to_device",
]
