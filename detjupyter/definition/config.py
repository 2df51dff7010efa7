"""The configuration of a model definition: YAML 1.2, or a dict, with what the user overrides."""

from __future__ import annotations

import copy
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detjupyter.definition.space import is_range, leaves, sample
from detjupyter.errors import ConfigError, HyperparameterError

#: Read when no config is given and it stands beside the definition.
DEFAULT_NAME = "const.yaml"

_FROM_OVERRIDE = "--hparam"
_ENTRYPOINT_WORD = re.compile(r"[\w.]*:[\w.]+")


@dataclass(frozen=True)
class Config:
    """A configuration, read and with its ranges sampled.

    Attributes:
        raw: All keys as they were read; without overrides and with ranges as written.
        path: The file; None if there was none.
        entrypoint: What it names as the entrypoint; None if nothing, or a command that names no Trial class.
        hyperparameters: Nested as written, with overrides, ranges sampled.
        origins: Where each value came from, by dotted name: ``const.yaml``, ``--hparam``, ``sampled from const.yaml, seed 7``.
        searcher_metric: The metric that ranks runs; None if it names none.
        smaller_is_better: Whether less of it is better (Determined's default: yes); None without a metric.
        data: What ``get_data_config()`` returns.
    """

    raw: dict[str, Any] = field(default_factory=dict)
    path: str | None = None
    entrypoint: str | None = None
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    searcher_metric: str | None = None
    smaller_is_better: bool | None = None
    data: dict[str, Any] = field(default_factory=dict)


def read_config(
    config: Mapping[str, Any] | str | Path | None,
    root: Path,
    hparams: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Config:
    """Read a configuration.

    Args:
        config: The keys themselves; or the path of a YAML file, from the working directory, else from ``root``; or None for the
            `const.yaml` at ``root`` if there is one.
        root: The directory of the definition, or its single file.
        hparams: Hyperparameters that override those of the config; nested ones by dotted names (``optimizer.lr``). A range is sampled.
        seed: What ranges are sampled with.

    Raises:
        ConfigError: The file is missing or does not parse, or a key has an impossible value.
        HyperparameterError: A range cannot be sampled, or an override goes through something that is not a map.
    """
    directory = root.parent if root.is_file() else root
    source, raw = _Source.of(config, directory)
    searcher = source.mapping(raw, "searcher")
    metric = searcher.get("metric")
    if metric is not None and not isinstance(metric, str):
        raise source.error(("searcher", "metric"), metric, "the name of a metric")
    smaller = searcher.get("smaller_is_better", True)
    if not isinstance(smaller, bool):
        raise source.error(("searcher", "smaller_is_better"), smaller, "true or false")
    written = copy.deepcopy(source.mapping(raw, "hyperparameters"))
    origins = {name: source.name for name, _ in leaves(written)}
    for name, value in (hparams or {}).items():
        _override(written, origins, str(name), copy.deepcopy(value))
    return Config(
        raw=raw,
        path=source.path,
        entrypoint=source.entrypoint(raw),
        hyperparameters=sample(written, seed),
        origins=_with_samples(written, origins, seed),
        searcher_metric=metric,
        smaller_is_better=smaller if metric is not None else None,
        data=copy.deepcopy(source.mapping(raw, "data")),
    )


class _Source:
    """Where a config came from, so that an error about a key can point at its line."""

    def __init__(self, name: str, path: str | None, text: str | None) -> None:
        self.name = name
        self.path = path
        self._text = text

    @classmethod
    def of(cls, config: Mapping[str, Any] | str | Path | None, directory: Path) -> tuple[_Source, dict[str, Any]]:
        """Return the source and the keys of what the user gave."""
        if isinstance(config, Mapping):
            return cls("config", None, None), copy.deepcopy(dict(config))
        if config is None:
            path = directory / DEFAULT_NAME
            if not path.is_file():
                return cls("config", None, None), {}
        else:
            path = _locate(Path(config).expanduser(), directory)
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path.name} is not UTF-8 text ({error.reason} at byte {error.start}).", path=str(path)) from None
        except OSError as error:
            raise ConfigError(f"{path.name} cannot be read: {error.strerror}.", path=str(path)) from None
        return cls(path.name, str(path), text), _parse(text, path)

    def mapping(self, raw: Mapping[str, Any], key: str) -> dict[str, Any]:
        """Return a key that holds a map; an absent or empty one is an empty map."""
        value = raw.get(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise self.error((key,), value, "a map of names to values")
        return dict(value)

    def entrypoint(self, raw: Mapping[str, Any]) -> str | None:
        """Return the entrypoint; of a command (Determined 0.18 and later) the word of it that names a Trial class, if any."""
        value = raw.get("entrypoint")
        if value is None:
            return None
        if not isinstance(value, str) and not (isinstance(value, list) and all(isinstance(word, str) for word in value)):
            raise self.error(("entrypoint",), value, "text such as model_def:MNistTrial")
        try:
            words = shlex.split(value) if isinstance(value, str) else value
        except ValueError:  # a quote that is not closed: no command, and parsing the entrypoint will say what is wrong
            return str(value)
        if len(words) == 1:
            return str(words[0])
        return next((word for word in reversed(words) if _ENTRYPOINT_WORD.fullmatch(word)), None)

    def error(self, keys: tuple[str, ...], value: object, expected: str) -> ConfigError:
        """Make the error for a key whose value is of the wrong kind."""
        line, column = _position(self._text, keys) if self._text is not None else (None, None)
        message = f"`{'.'.join(keys)}` in {self.name} is {value!r}; it should be {expected}."
        return ConfigError(message, path=self.path, line=line, column=column)


def _locate(path: Path, directory: Path) -> Path:
    """Find a config that the user named: from the working directory, else beside the definition."""
    for candidate in (path, directory / path):
        if candidate.is_file():
            return candidate.resolve()
    others = sorted(file.name for pattern in ("*.yaml", "*.yml") for file in directory.glob(pattern))
    hint = f"In {directory} there is: {', '.join(others)}." if others else f"There is no .yaml file in {directory}."
    raise ConfigError(f"There is no config file {str(path)!r}.", path=str(path), hint=hint)


def _parse(text: str, path: Path) -> dict[str, Any]:
    """Parse YAML 1.2, whose ``1e-4`` is a number and whose ``on`` is text."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        raw = YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = (error.problem or error.context or "it does not parse").strip().splitlines()[0]
        raise ConfigError(
            f"{path.name} is not valid YAML: {reason}.",
            path=str(path),
            line=mark.line + 1 if mark else None,
            column=mark.column + 1 if mark else None,
            hint=_excerpt(text, mark.line) if mark else None,
        ) from None
    except (YAMLError, ValueError, RecursionError) as error:  # ValueError: a date such as 2026-02-31
        reason = (str(error).strip() or "it is nested too deeply").splitlines()[0]
        raise ConfigError(f"{path.name} is not valid YAML: {reason}.", path=str(path)) from None
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ConfigError(f"{path.name} holds {type(raw).__name__}, not a map of keys to values.", path=str(path), line=1, column=1)
    return raw


def _excerpt(text: str, line: int) -> str | None:
    """Return the line of the file that the parser stumbled on."""
    lines = text.splitlines()
    return f"That line reads: {lines[line].strip()}" if line < len(lines) and lines[line].strip() else None


def _position(text: str, keys: tuple[str, ...]) -> tuple[int | None, int | None]:
    """Return line and column, from 1, of the key that ``keys`` lead to. Parses the text again: only errors ask for this."""
    from ruamel.yaml import YAML

    node = YAML(typ="safe", pure=True).compose(text)
    position: tuple[int | None, int | None] = (None, None)
    for key in keys:
        for key_node, value_node in node.value if node is not None and isinstance(node.value, list) else ():
            if key_node.value == key:
                position = key_node.start_mark.line + 1, key_node.start_mark.column + 1
                node = value_node
                break
    return position


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
    """Say of each value that was drawn that it was drawn."""
    return {
        name: f"sampled from {origin}, seed {seed}" if is_range(value) and value["type"] != "const" else origin
        for name, value, origin in ((name, value, origins.get(name, _FROM_OVERRIDE)) for name, value in leaves(written))
    }
