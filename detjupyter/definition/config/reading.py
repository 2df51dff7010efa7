"""Read the configuration of a model definition: YAML 1.2 or a dict, with the user's overrides."""

from __future__ import annotations

import copy
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from detjupyter.definition.config.files import DEFAULT_NAME, config_files, damaged_config, default_config
from detjupyter.definition.config.keys import Settings, read_settings
from detjupyter.definition.config.known_keys import did_you_mean, unknown_keys
from detjupyter.definition.config.source import ConfigSource
from detjupyter.definition.config.space import is_range, leaf_paths, leaves, sample
from detjupyter.errors import ConfigError, HyperparameterError

__all__ = ["Config", "read_config"]

_FROM_OVERRIDE = "override"
_ENTRYPOINT_WORD = re.compile(r"[\w.]*:[\w.]+")


@dataclass(frozen=True)
class Config:
    """A configuration with sampled ranges.

    Attributes:
        raw: All keys as read, without overrides and with ranges as written.
        path: The file; None if there was none.
        entrypoint: The entrypoint; None if not set, or if it is a command without a Trial class.
        hyperparameters: Nested as written, with overrides and sampled ranges.
        origins: Where each value came from, by dotted name: ``const.yaml line 12``, ``config`` (a dict), ``override``,
            ``sampled from const.yaml line 12, seed 7``.
        searcher_metric: The metric that ranks runs; None if not set.
        smaller_is_better: Whether smaller values of this metric are better (Determined's default: yes); None without a metric.
        data: The value that ``get_data_config()`` returns.
        settings: The other keys that apply here, checked, with their defaults.
        warnings: Sentences about keys and overrides that are probably misspelled. Their values are kept.
        unread: The names of files of the definition that look like configs, if none of them was read.
        problem: Why the only file of the definition that looks like a config could not be read, as a sentence; also in ``warnings``.
    """

    raw: dict[str, Any] = field(default_factory=dict)
    path: str | None = None
    entrypoint: str | None = None
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    searcher_metric: str | None = None
    smaller_is_better: bool | None = None
    data: dict[str, Any] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    warnings: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    problem: str = ""

    def value(self, name: str) -> Any:  # Any: any value of the user
        """Return a hyperparameter by its dotted name, as in ``origins``; a name may itself contain dots.

        Raises:
            HyperparameterError: There is none.
        """
        found, value = _look_up(self.hyperparameters, name)
        if not found:
            raise HyperparameterError(f"There is no hyperparameter {name!r}.", name=name, available=tuple(self.origins))
        return value


def read_config(
    config: Mapping[str, Any] | str | Path | None,
    root: Path,
    hparams: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Config:
    """Read a configuration.

    Args:
        config: The keys; or the path of a YAML file, relative to the working directory or to ``root``; or None for the `const.yaml` at
            ``root``, else the only YAML file there with ``entrypoint``, ``hyperparameters`` or ``searcher``.
        root: The directory of the definition, or its single file.
        hparams: Hyperparameters that override those of the config; nested ones by dotted names (``optimizer.lr``). A range is sampled.
        seed: The seed for sampling ranges.

    Raises:
        ConfigError: The file is missing or cannot be parsed, or a key has an invalid value (with line and column).
        HyperparameterError: A range cannot be sampled, or an override leads into a value that is not a map.
    """
    directory = root.parent if root.is_file() else root
    found = default_config(directory) if config is None else None
    if found is None:
        read = _read(config, directory, hparams, seed)
        return _with_unread(read, directory) if config is None else read
    try:
        return _read(found, directory, hparams, seed)
    except ConfigError as error:
        if found.name == DEFAULT_NAME:
            raise
        return _without(found, error, _read(None, directory, hparams, seed))


def _with_unread(read: Config, directory: Path) -> Config:
    """Return the empty config with the names of the files that may be the config."""
    unread = tuple(config_files(directory))
    damaged = None if unread else damaged_config(directory)
    if damaged is not None:
        try:
            ConfigSource.read(damaged, directory)
        except ConfigError as error:
            return _without(damaged, error, read)
    return replace(read, unread=unread)


def _without(found: Path, error: ConfigError, read: Config) -> Config:
    """Return the empty config with the reason why ``found`` is not used. The user did not name it, so it may belong to another program."""
    where = found.name + (f", line {error.line}" if error.line else "")
    problem = f"No config was read: {error.message.rstrip('.')} ({where})."
    return replace(read, warnings=(problem, *read.warnings), unread=(found.name,), problem=problem)


def _read(config: Mapping[str, Any] | str | Path | None, directory: Path, hparams: Mapping[str, Any] | None, seed: int) -> Config:
    source, raw = ConfigSource.read(config, directory)
    searcher = source.mapping(raw, "searcher")
    metric = searcher.get("metric")
    if metric is not None and not isinstance(metric, str):
        raise source.error(("searcher", "metric"), metric, "the name of a metric")
    smaller = searcher.get("smaller_is_better")
    if not isinstance(smaller, (bool, type(None))):
        raise source.error(("searcher", "smaller_is_better"), smaller, "true or false")
    written = copy.deepcopy(source.mapping(raw, "hyperparameters"))
    origins = {".".join(path): source.place(("hyperparameters", *path)) for path, _ in leaf_paths(written)}
    warnings = [*unknown_keys(raw, source), *_unknown_overrides(written, hparams or {}, source)]
    settings, remarks = read_settings(raw, source)
    for name, value in (hparams or {}).items():
        _override(written, origins, str(name), copy.deepcopy(value))
    return Config(
        raw=raw,
        path=source.path,
        entrypoint=_entrypoint(source, raw),
        hyperparameters=sample(written, seed),
        origins=_with_samples(written, origins, seed),
        searcher_metric=metric,
        smaller_is_better=smaller is not False if metric is not None else None,
        data=copy.deepcopy(source.mapping(raw, "data")),
        settings=settings,
        warnings=(*warnings, *remarks),
    )


def _entrypoint(source: ConfigSource, raw: Mapping[str, Any]) -> str | None:
    """Return the entrypoint; for a command (Determined 0.18 and later), the word that names a Trial class, if any."""
    value = raw.get("entrypoint")
    if value is None:
        return None
    if not isinstance(value, str) and not (isinstance(value, list) and all(isinstance(word, str) for word in value)):
        raise source.error(("entrypoint",), value, "text such as model_def:MNistTrial")
    try:
        words = shlex.split(value) if isinstance(value, str) else value
    except ValueError:  # an unclosed quote, so not a command: parsing the entrypoint raises a clear error
        return str(value)
    if len(words) == 1:
        return str(words[0])
    return next((word for word in reversed(words) if _ENTRYPOINT_WORD.fullmatch(word)), None)


def _override(values: dict[str, Any], origins: dict[str, str], name: str, value: Any) -> None:
    """Set one hyperparameter by its dotted name, and its origin."""
    parts = [name] if name in values else name.split(".")
    if not all(parts):
        raise HyperparameterError(
            f"{name!r} is not the name of a hyperparameter.", name=name, hint="Write NAME=VALUE, or OUTER.NAME=VALUE."
        )
    level = values
    for depth, part in enumerate(parts[:-1], start=1):
        inner = level.setdefault(part, {})
        if not isinstance(inner, dict):
            outer = ".".join(parts[:depth])
            raise HyperparameterError(
                f"{name!r} cannot be set: {outer} is {inner!r}, not a map.",
                name=name,
                available=tuple(origins),
                hint=f"Override {outer} itself.",
            )
        level = inner
    level[parts[-1]] = value
    for replaced in [known for known in origins if known == name or known.startswith(f"{name}.")]:
        del origins[replaced]
    origins.update({leaf: _FROM_OVERRIDE for leaf, _ in leaves(_nested(parts, value))})


def _nested(parts: list[str], value: Any) -> dict[str, Any]:
    for part in reversed(parts):
        value = {part: value}
    return dict(value)


def _with_samples(written: Mapping[str, Any], origins: Mapping[str, str], seed: int) -> dict[str, str]:
    """Return the origins, with a remark for each sampled value."""
    return {
        name: f"sampled from {origin}, seed {seed}" if is_range(value) and value["type"] != "const" else origin
        for name, value, origin in ((name, value, origins.get(name, _FROM_OVERRIDE)) for name, value in leaves(written))
    }


def _unknown_overrides(written: Mapping[str, Any], hparams: Mapping[str, Any], source: ConfigSource) -> Iterator[str]:
    """Yield a sentence for each override that the config does not contain, unless the config has no hyperparameters."""
    names = [name for name, _ in leaves(written)]
    for name in map(str, hparams) if names else ():
        if not _look_up(written, name)[0]:
            yield f"The override `{name}` is not a hyperparameter of {source.name}; it was added.{did_you_mean(name, names)}"


def _look_up(values: Any, name: str) -> tuple[bool, Any]:
    """Look up a dotted name in nested maps; return whether the value exists, and the value."""
    if not isinstance(values, Mapping):
        return False, None
    if name in values:
        return True, values[name]
    for key, inner in values.items():
        if name.startswith(f"{key}."):
            found, value = _look_up(inner, name[len(key) + 1 :])
            if found:
                return True, value
    return False, None
