"""The known keys of a configuration, and the message for unknown ones."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from detjupyter.definition.config.source import ConfigSource, dotted

#: Keys of searchers that count in steps of ``batches_per_step`` batches, as all keys did before 0.13.
STEP_KEYS = ("max_steps", "target_trial_steps", "step_budget", "steps_per_round")

_SEARCHERS = ("single", "random", "grid", "adaptive", "adaptive_simple", "sync_halving", "async_halving", "adaptive_asha", "pbt", "custom")

_FREE: frozenset[str] | None = None  # a key whose value may have any keys, or is not a map

# Every key of any version of Determined, with its inner keys if its value is a map. Many have no effect on a single machine.
_KNOWN: Mapping[str, frozenset[str] | None] = {
    **dict.fromkeys(("name", "description", "labels", "project", "workspace", "entrypoint", "hyperparameters", "data"), _FREE),
    **dict.fromkeys(("data_layer", "resources", "internal", "tensorboard_storage", "debug", "profiling", "slurm", "pbs"), _FREE),
    **dict.fromkeys(("integrations", "log_policies", "preemption_timeout", "retention_policy", "template", "security"), _FREE),
    **dict.fromkeys(("batches_per_step", "scheduling_unit", "records_per_epoch", "min_validation_period", "min_checkpoint_period"), _FREE),
    **dict.fromkeys(("checkpoint_policy", "perform_initial_validation", "max_restarts", "bind_mounts"), _FREE),
    "reproducibility": frozenset({"experiment_seed"}),
    "searcher": frozenset(
        (
            *("name", "metric", "smaller_is_better", "source_trial_id", "source_checkpoint_uuid", *STEP_KEYS, "max_length", "max_trials"),
            *(
                "max_concurrent_trials",
                "mode",
                "divisor",
                "max_rungs",
                "num_rungs",
                "bracket_rungs",
                "train_stragglers",
                "stop_once",
                "budget",
            ),
            *(
                "max_time",
                "time_metric",
                "population_size",
                "num_rounds",
                "length_per_round",
                "replace_function",
                "explore_function",
                "unit",
            ),
        )
    ),
    "checkpoint_storage": frozenset(
        (
            *(
                "type",
                "save_experiment_best",
                "save_trial_best",
                "save_trial_latest",
                "host_path",
                "storage_path",
                "checkpoint_path",
                "bucket",
            ),
            *("access_key", "secret_key", "endpoint_url", "prefix", "hdfs_url", "hdfs_path", "user", "container", "connection_string"),
            *("account_url", "credential", "container_path", "propagation", "tensorboard_path"),
        )
    ),
    "optimizations": frozenset(
        (
            *(
                "aggregation_frequency",
                "average_aggregated_gradients",
                "average_training_metrics",
                "gradient_compression",
                "mixed_precision",
            ),
            *("tensor_fusion_threshold", "tensor_fusion_cycle_time", "auto_tune_tensor_fusion", "grad_updates_size_file"),
        )
    ),
    "environment": frozenset(
        (
            *("environment_variables", "image", "force_pull_image", "registry_auth", "pod_spec", "ports", "proxy_ports"),
            *("add_capabilities", "drop_capabilities"),
        )
    ),
}


def unknown_keys(raw: Mapping[str, Any], source: ConfigSource) -> Iterator[str]:
    """Yield a sentence for each key that no version of Determined has, and for an unknown searcher."""
    for key, value in raw.items():
        if key not in _KNOWN:
            yield _sentence((key,), source, _KNOWN)
        known = _KNOWN.get(key)
        if known is not None and isinstance(value, Mapping):
            yield from (_sentence((key, inner), source, known) for inner in value if inner not in known)
    searcher = raw.get("searcher")
    name = searcher.get("name") if isinstance(searcher, Mapping) else None
    if isinstance(name, str) and name not in _SEARCHERS:
        place = source.place(("searcher", "name"))
        yield f"`{name}` in {place} is not a known searcher.{did_you_mean(name, _SEARCHERS)}"


def did_you_mean(wanted: str, known: Iterable[str], before: str = "") -> str:
    """Return a question that suggests the most similar name, to append to a sentence; empty if no name is similar.

    Examples:
        >>> did_you_mean("serachr", ["data", "searcher"])
        ' Did you mean `searcher`?'
    """
    near = difflib.get_close_matches(wanted, list(known), n=1, cutoff=0.6)
    return f" Did you mean `{before}{near[0]}`?" if near else ""


def _sentence(keys: tuple[str, ...], source: ConfigSource, known: Iterable[str]) -> str:
    before = f"{dotted(keys[:-1])}." if len(keys) > 1 else ""
    question = did_you_mean(keys[-1], known, before)
    return f"`{dotted(keys)}` in {source.place(keys)} is not a known key; its value is kept.{question}"
