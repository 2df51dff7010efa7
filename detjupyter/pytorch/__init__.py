"""PyTorchTrial and the classes that its subclasses use.

A model definition derives a class from :class:`PyTorchTrial`. Its ``__init__`` receives a :class:`PyTorchTrialContext`, and wraps with it
everything that it trains.
"""

from detjupyter.protocol.lengths import Batch, Epoch
from detjupyter.pytorch import samplers
from detjupyter.pytorch.callbacks import ClipGradsL2Norm, ClipGradsL2Value, PyTorchCallback
from detjupyter.pytorch.context import PyTorchTrialContext
from detjupyter.pytorch.custom_reducers import MetricReducer
from detjupyter.pytorch.data.batches import TorchData, data_length, to_device
from detjupyter.pytorch.data.data_loader import DataLoader
from detjupyter.pytorch.loading import CheckpointLoadContext, load_trial_from_checkpoint_path
from detjupyter.pytorch.lr_scheduler import LRScheduler
from detjupyter.pytorch.samplers import DistributedBatchSampler, RepeatBatchSampler, SkipBatchSampler, adapt_batch_sampler
from detjupyter.pytorch.trainer import Trainer, init
from detjupyter.pytorch.trial import PyTorchTrial, reset_parameters
from detjupyter.pytorch.validation_reducer import Reducer

__all__ = [
    "Batch",
    "CheckpointLoadContext",
    "ClipGradsL2Norm",
    "ClipGradsL2Value",
    "DataLoader",
    "DistributedBatchSampler",
    "Epoch",
    "LRScheduler",
    "MetricReducer",
    "PyTorchCallback",
    "PyTorchTrial",
    "PyTorchTrialContext",
    "Reducer",
    "RepeatBatchSampler",
    "SkipBatchSampler",
    "TorchData",
    "Trainer",
    "adapt_batch_sampler",
    "data_length",
    "init",
    "load_trial_from_checkpoint_path",
    "reset_parameters",
    "samplers",
    "to_device",
]
