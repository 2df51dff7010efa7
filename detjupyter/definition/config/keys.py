"""Read the keys of Determined's experiment configuration that apply to a single machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from detjupyter.definition.config.known_keys import STEP_KEYS
from detjupyter.definition.config.source import ConfigSource
from detjupyter.errors import ConfigError
from detjupyter.protocol.lengths import Batch, CheckpointPolicy, Epoch, Records

_UNITS: dict[str, type[Batch] | type[Records] | type[Epoch]] = {"batches": Batch, "records": Records, "epochs": Epoch}
_DEFAULT_UNIT_BATCHES = 100

_Default = TypeVar("_Default", int, bool, str, None)
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class BindMount:
    """A directory of the machine, and the path at which the code expects it."""

    host_path: str
    container_path: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a configuration, with Determined's defaults.

    Attributes:
        scheduling_unit: The number of batches between two reports; ``batches_per_step`` in 2020.
        records_per_epoch: The number of records of an epoch if the loader does not provide it; 0 if not set.
        min_validation_period: The longest period without a validation; None: validate only at the end.
        min_checkpoint_period: The longest period without a checkpoint; None: save only at the end.
        checkpoint_policy: Whether to save a checkpoint after the best validations, after all, or after none.
        perform_initial_validation: Whether to validate before the first batch.
        max_restarts: How often a failed trial is restarted.
        experiment_seed: The seed; None if not set.
        aggregation_frequency: The number of batches whose gradients are aggregated for one optimizer step.
        average_aggregated_gradients: Whether aggregated gradients are averaged, not summed.
        average_training_metrics: Whether metrics are averaged over processes; None if not set (its default has changed).
        gradient_compression: Whether gradients are sent in 16 bits.
        mixed_precision: ``O0`` (none) to ``O3``.
        environment_variables: For each kind of slot, ``cpu`` and ``gpu``, names and values.
        bind_mounts: Directories that the code expects at other paths.
        searcher: The name of the searcher; None if not set.
        searcher_length: The maximum training length of a trial; None if not set, or set in seconds.
        max_trials: The number of trials of a search; None if not set.
        save_experiment_best: How many of the best checkpoints of all trials to keep.
        save_trial_best: How many of the best checkpoints of each trial to keep.
        save_trial_latest: How many of the latest checkpoints of each trial to keep.
        debug: Whether to log more.
    """

    scheduling_unit: int = _DEFAULT_UNIT_BATCHES
    records_per_epoch: int = 0
    min_validation_period: Batch | Epoch | Records | None = None
    min_checkpoint_period: Batch | Epoch | Records | None = None
    checkpoint_policy: CheckpointPolicy = "best"
    perform_initial_validation: bool = False
    max_restarts: int = 5
    experiment_seed: int | None = None
    aggregation_frequency: int = 1
    average_aggregated_gradients: bool = True
    average_training_metrics: bool | None = None
    gradient_compression: bool = False
    mixed_precision: str = "O0"
    environment_variables: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: {"cpu": {}, "gpu": {}})
    bind_mounts: tuple[BindMount, ...] = ()
    searcher: str | None = None
    searcher_length: Batch | Epoch | Records | None = None
    max_trials: int | None = None
    save_experiment_best: int = 0
    save_trial_best: int = 1
    save_trial_latest: int = 1
    debug: bool = False

    def environment_for(self, device: str) -> dict[str, str]:
        """Return the environment variables of a trial on a device (``cuda:1``, ``mps``, ``cpu``)."""
        return dict(self.environment_variables["cpu" if device.partition(":")[0] == "cpu" else "gpu"])


def read_settings(raw: Mapping[str, Any], source: ConfigSource) -> tuple[Settings, tuple[str, ...]]:
    """Return the settings, and a sentence for each invalid value of a key that is not applied.

    An absent or empty key has its default, and so has an invalid one that is not applied: it must not keep the definition from training.

    A bare number as a period or length counts steps (of ``batches_per_step``, 100) if the config uses steps in another key, as all configs
    did before 0.13. In other configs it counts batches.

    Raises:
        ConfigError: A value that is applied has the wrong type or is invalid; with line and column.
    """
    keys = _Keys(raw, source)
    unit = keys.whole("scheduling_unit", keys.whole("batches_per_step", _DEFAULT_UNIT_BATCHES, least=1), least=1)
    in_steps = keys.get("batches_per_step") is not None or any(keys.get(f"searcher.{key}") is not None for key in STEP_KEYS)
    step = unit if in_steps else 1
    settings = Settings(
        scheduling_unit=unit,
        records_per_epoch=keys.whole("records_per_epoch", 0),
        min_validation_period=keys.length("min_validation_period", step),
        min_checkpoint_period=keys.length("min_checkpoint_period", step),
        checkpoint_policy=cast("CheckpointPolicy", keys.choice("checkpoint_policy", ("best", "all", "none"))),
        perform_initial_validation=keys.flag("perform_initial_validation", False),
        max_restarts=keys.unapplied(lambda: keys.whole("max_restarts", 5), 5),
        experiment_seed=keys.whole("reproducibility.experiment_seed", None),
        aggregation_frequency=keys.whole("optimizations.aggregation_frequency", 1, least=1),
        average_aggregated_gradients=keys.flag("optimizations.average_aggregated_gradients", True),
        average_training_metrics=keys.unapplied(lambda: keys.flag("optimizations.average_training_metrics", None), None),
        gradient_compression=keys.unapplied(lambda: keys.flag("optimizations.gradient_compression", False), False),
        mixed_precision=keys.choice("optimizations.mixed_precision", ("O0", "O1", "O2", "O3")),
        environment_variables=keys.unapplied(lambda: _environment_variables(keys), {"cpu": {}, "gpu": {}}),
        bind_mounts=keys.unapplied(lambda: tuple(_bind_mounts(keys)), ()),
        searcher=keys.unapplied(lambda: keys.text("searcher.name"), None),
        searcher_length=_searcher_length(keys, unit),
        max_trials=keys.unapplied(lambda: keys.whole("searcher.max_trials", None, least=1), None),
        save_experiment_best=keys.whole("checkpoint_storage.save_experiment_best", 0),
        save_trial_best=keys.whole("checkpoint_storage.save_trial_best", 1),
        save_trial_latest=keys.whole("checkpoint_storage.save_trial_latest", 1),
        debug=keys.unapplied(lambda: keys.flag("debug", False), False),
    )
    return settings, tuple(keys.remarks)


class _Keys:
    """Reads values of a config by dotted name, checks their types, and raises errors with their lines.

    Attributes:
        remarks: A sentence for each invalid value that is not applied.
    """

    def __init__(self, raw: Mapping[str, Any], source: ConfigSource) -> None:
        self._raw = raw
        self._source = source
        self.remarks: list[str] = []

    def unapplied(self, read: Callable[[], _Value], default: _Value) -> _Value:
        """Return what ``read`` returns for a key that has no effect here; if its value is invalid, add a remark and return the default."""
        try:
            return read()
        except ConfigError as error:
            place = f" (line {error.line})" if error.line else ""
            self.remarks.append(f"{error.message.removesuffix('.')}{place}. The key is not applied here.")
            return default

    def get(self, name: str) -> Any:  # Any: any value of the user
        """Return the value; None if it, or the map that contains it, is absent or empty."""
        section, dot, key = name.partition(".")
        return self._source.mapping(self._raw, section).get(key) if dot else self._raw.get(name)

    def whole(self, name: str, default: _Default, *, least: int = 0) -> int | _Default:
        """Return a whole number."""
        value = self.get(name)
        if value is None:
            return default
        if type(value) is not int or value < least:
            raise self.error(name, value, f"a whole number, at least {least}")
        return value

    def flag(self, name: str, default: _Default) -> bool | _Default:
        """Return true or false."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.error(name, value, "true or false")
        return value

    def text(self, name: str) -> str | None:
        """Return text."""
        value = self.get(name)
        if value is not None and not isinstance(value, str):
            raise self.error(name, value, "text")
        return value

    def choice(self, name: str, options: tuple[str, ...]) -> str:
        """Return one of ``options``; the first is the default."""
        value = self.get(name)
        if value is None:
            return options[0]
        if value not in options:
            raise self.error(name, value, f"one of {', '.join(options)}")
        return str(value)

    def length(self, name: str, step: int) -> Batch | Epoch | Records | None:
        """Return a length such as ``{batches: 100}``, or a bare number of units of ``step`` batches; 0 and absent are None."""
        value = self.get(name)
        if isinstance(value, Mapping) and len(value) == 1:
            (unit,) = value
            if unit not in _UNITS:
                raise self.error(f"{name}.{unit}", value[unit], f"under a unit: {', '.join(_UNITS)}")
            if type(value[unit]) is not int or value[unit] < 0:
                raise self.error(f"{name}.{unit}", value[unit], "a whole number, at least 0")
            return _UNITS[unit](value[unit]) if value[unit] else None
        if value is not None and (type(value) is not int or value < 0):
            raise self.error(name, value, "one amount, such as `{batches: 100}`, `{epochs: 1}` or a whole number")
        return Batch(value * step) if value else None

    def error(self, name: str, value: object, expected: str, *more: str | int) -> ConfigError:
        """Create the error for a value; ``more`` are keys and indices inside the value."""
        return self._source.error((*name.split("."), *more), value, expected)


def _searcher_length(keys: _Keys, unit: int) -> Batch | Epoch | Records | None:
    """Return the maximum training length of a trial, from the keys of any version of Determined."""
    for key in ("max_steps", "target_trial_steps"):
        steps = keys.whole(f"searcher.{key}", None, least=1)
        if steps is not None:
            return Batch(steps * unit)
    length = keys.length("searcher.max_length", 1)
    metric = keys.text("searcher.time_metric")
    if length is None and metric in _UNITS:
        time = keys.whole("searcher.max_time", None, least=1)
        return None if time is None else _UNITS[metric](time)
    return length


def _environment_variables(keys: _Keys) -> dict[str, dict[str, str]]:
    """Read ``[NAME=VALUE, …]``, or such a list for each kind of slot; a name without a value means empty text, as in Determined."""
    name = "environment.environment_variables"
    written = keys.get(name)
    read: dict[str, dict[str, str]] = {"cpu": {}, "gpu": {}}
    if written is None:
        return read
    by_slot = written if isinstance(written, Mapping) else {"cpu": written, "gpu": written}
    for slot, lines in by_slot.items():
        where = (slot,) if isinstance(written, Mapping) else ()
        if slot not in ("cpu", "gpu", "cuda", "rocm"):
            raise keys.error(name, lines, "under a kind of slot: cpu, gpu, cuda, rocm", *where)
        if lines is not None and not isinstance(lines, list):
            raise keys.error(name, lines, "a list of NAME=VALUE", *where)
        for index, line in enumerate(lines or ()):
            if not isinstance(line, str) or not line.partition("=")[0]:
                raise keys.error(name, line, "text: NAME=VALUE", *where, index)
            variable, _, value = line.partition("=")
            read["cpu" if slot == "cpu" else "gpu"][variable] = value
    return read


def _bind_mounts(keys: _Keys) -> Iterator[BindMount]:
    mounts = keys.get("bind_mounts")
    if mounts is not None and not isinstance(mounts, list):
        raise keys.error("bind_mounts", mounts, "a list of maps with host_path and container_path")
    for index, mount in enumerate(mounts or ()):
        if not isinstance(mount, Mapping):
            raise keys.error("bind_mounts", mount, "a map with host_path and container_path", index)
        for key in ("host_path", "container_path"):
            if not isinstance(mount.get(key), str) or not mount[key]:
                raise keys.error("bind_mounts", mount.get(key), "a path", index, key)
        read_only = mount.get("read_only")
        if read_only is not None and not isinstance(read_only, bool):
            raise keys.error("bind_mounts", read_only, "true or false", index, "read_only")
        yield BindMount(mount["host_path"], mount["container_path"], bool(read_only))
