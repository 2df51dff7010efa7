"""Every name of Determined's that a PyTorch definition imports."""

from __future__ import annotations

from pathlib import Path

import pytest

from detjupyter.definition.isolation.imports import DefinitionScope
from detjupyter.errors import UnsupportedError

DETERMINED = (
    "TrialContext, NativeContext, Trial, LegacyTrial, ExperimentConfig, Constant, Integer, Double, Categorical, Log, InvalidHP, "
    "get_cluster_info, LOG_FORMAT, import_from_path, core, errors, util, pytorch, keras, estimator, experimental, horovod, tensorboard"
)
PYTORCH = (
    "PyTorchTrial, PyTorchTrialContext, DataLoader, LRScheduler, Reducer, MetricReducer, PyTorchCallback, ClipGradsL2Norm, "
    "ClipGradsL2Value, TorchData, reset_parameters, data_length, to_device, samplers, RepeatBatchSampler, DistributedBatchSampler, "
    "SkipBatchSampler, adapt_batch_sampler, init, Trainer, Batch, Epoch, CheckpointLoadContext, load_trial_from_checkpoint_path"
)
SAMPLERS = (
    "RepeatSampler, RepeatBatchSampler, DistributedSampler, DistributedBatchSampler, SkipSampler, SkipBatchSampler, "
    "ReproducibleShuffleSampler, ReproducibleShuffleBatchSampler"
)


def test_the_whole_surface_is_there(tmp_path: Path) -> None:
    """By `from … import`, and as attributes of the package; the classes are this house's own."""
    (tmp_path / "model_def.py").write_text(
        f"import determined as det\nfrom determined import {DETERMINED}\nfrom determined.pytorch import {PYTORCH}\n"
        f"from determined.pytorch.samplers import {SAMPLERS}\nfrom determined.tensorboard.metric_writers.pytorch import TorchWriter\n"
        "from determined.pytorch.deepspeed import DeepSpeedTrial\nfrom determined.pytorch.lightning import LightningAdapter\n"
    )
    module = DefinitionScope(tmp_path).import_module("model_def")
    from detjupyter import pytorch

    for name in PYTORCH.split(", "):
        assert getattr(module.det.pytorch, name) is getattr(module, name) is getattr(pytorch, name), name
    assert module.TrialContext is pytorch.PyTorchTrialContext
    with pytest.raises(UnsupportedError, match="DeepSpeedTrial"):
        type("Mine", (), {})() and module.DeepSpeedTrial()
