"""The keys of experiment configurations of either era, and what is in force where one is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from detjupyter.definition import read_config

KEYS = {
    "name": "n",
    "description": "d",
    "labels": ["a", "b"],
    "project": "p",
    "workspace": "w",
    "entrypoint": "model_def:T",
    "hyperparameters": {"global_batch_size": 4, "net": {"depth": 2}},
    "data": {"url": "x", "more": [1, 2]},
    "data_layer": {"type": "s3", "bucket": "b", "container_storage_path": "/c"},
    "searcher": {"name": "single", "metric": "loss", "smaller_is_better": True, "max_length": {"batches": 1}},
    "batches_per_step": 100,
    "scheduling_unit": 100,
    "records_per_epoch": 0,
    "min_validation_period": {"batches": 0},
    "min_checkpoint_period": 3,
    "checkpoint_policy": "best",
    "perform_initial_validation": False,
    "max_restarts": 5,
    "reproducibility": {"experiment_seed": 1},
    "optimizations": {
        "aggregation_frequency": 1,
        "average_aggregated_gradients": True,
        "average_training_metrics": False,
        "gradient_compression": False,
        "mixed_precision": "O0",
        "tensor_fusion_threshold": 64,
        "tensor_fusion_cycle_time": 5,
        "auto_tune_tensor_fusion": False,
    },
    "resources": {"slots_per_trial": 1, "weight": 1, "agent_label": "", "max_slots": 4, "priority": 1},
    "environment": {"image": "i", "environment_variables": ["A=1"], "force_pull_image": False},
    "bind_mounts": [{"host_path": "/a", "container_path": "/b", "read_only": True}],
    "internal": {},
    "tensorboard_storage": {"type": "shared_fs"},
    "debug": False,
    "profiling": {"enabled": False},
}


class TestConfigurations:
    """Each key is known, and has Determined's default."""

    @pytest.mark.parametrize("key", KEYS)
    def test_every_key_of_either_era_is_known(self, key: str, tmp_path: Path) -> None:
        """It is read without a warning, and kept."""
        config = read_config({key: KEYS[key]}, tmp_path)
        assert config.warnings == ()
        assert config.raw == {key: KEYS[key]}

    @pytest.mark.parametrize("kind", ["shared_fs", "s3", "gcs", "hdfs", "azure", "directory"])
    def test_checkpoints_may_be_stored_anywhere(self, kind: str, tmp_path: Path) -> None:
        """No kind of storage is doubted, and how many to keep counts with each."""
        config = read_config({"checkpoint_storage": {"type": kind, "bucket": "b", "save_trial_best": 4}}, tmp_path)
        assert config.warnings == ()
        assert config.settings.save_trial_best == 4

    def test_what_is_left_out_is_as_in_determined(self, tmp_path: Path) -> None:
        """Every default that a training goes by."""
        settings = read_config({}, tmp_path).settings
        assert (settings.scheduling_unit, settings.records_per_epoch, settings.max_restarts) == (100, 0, 5)
        assert (settings.min_validation_period, settings.min_checkpoint_period, settings.searcher_length) == (None, None, None)
        assert (settings.checkpoint_policy, settings.perform_initial_validation) == ("best", False)
        assert (settings.save_experiment_best, settings.save_trial_best, settings.save_trial_latest) == (0, 1, 1)
        assert (settings.aggregation_frequency, settings.average_aggregated_gradients, settings.mixed_precision) == (1, True, "O0")
        assert (settings.gradient_compression, settings.experiment_seed, settings.debug) == (False, None, False)
