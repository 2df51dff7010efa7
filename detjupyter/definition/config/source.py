"""The source of a configuration, so that errors about keys and the origins of values can name their lines."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detjupyter.definition.config.files import MAX_BYTES
from detjupyter.definition.config.yaml_lines import Keys, Lines, json_key, read_yaml
from detjupyter.errors import ConfigError


class ConfigSource:
    """A dict, a file, or nothing.

    Attributes:
        name: The name for messages: the file's name, or ``config``.
        path: The file, absolute; None if there is none.
    """

    def __init__(self, name: str = "config", path: str | None = None, lines: Lines | None = None) -> None:
        self.name = name
        self.path = path
        self._lines = lines or {}

    @classmethod
    def read(cls, config: Mapping[str, Any] | str | Path | None, directory: Path) -> tuple[ConfigSource, dict[str, Any]]:
        """Return the source and the keys of a config; see `detjupyter.definition.config.read_config`. None is an empty config.

        Keys that are not text are converted to text as in JSON, in which Determined sends a config to its master.
        """
        if isinstance(config, Mapping):
            try:
                return cls(), _as_json(config)
            except RecursionError:
                raise ConfigError("The config contains itself, or is nested too deeply.") from None
        if config is None:
            return cls(), {}
        path = _locate(Path(config).expanduser(), directory)
        if path.is_dir():
            raise ConfigError(f"{path.name} is a directory, not a config file.", path=str(path), hint=_files_in(path))
        raw, lines = read_yaml(_text(path), path)
        return cls(path.name, str(path), lines), raw

    def mapping(self, raw: Mapping[str, Any], key: str) -> dict[str, Any]:
        """Return the map of a key; an absent or empty one is an empty map."""
        value = raw.get(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise self.error((key,), value, "a map of names to values")
        return dict(value)

    def place(self, keys: Keys) -> str:
        """Return where a key is, for messages: ``const.yaml line 12``."""
        line = self._position(keys)[0]
        return f"{self.name} line {line}" if line else self.name

    def error(self, keys: Keys, value: object, expected: str, *, hint: str | None = None) -> ConfigError:
        """Create the error for a key whose value has the wrong type."""
        line, column = self._position(keys)
        shown = repr(value) if len(repr(value)) <= 200 else f"{repr(value)[:200]}…"
        message = f"`{dotted(keys)}` in {self.name} is {shown}; it should be {expected}."
        return ConfigError(message, path=self.path, line=line, column=column, hint=hint)

    def _position(self, keys: Keys) -> tuple[int, int] | tuple[None, None]:
        """Return line and column of a key, or of the nearest key that contains it."""
        while keys and keys not in self._lines:
            keys = keys[:-1]
        return self._lines[keys] if keys else (None, None)


def dotted(keys: Keys) -> str:
    """Return keys in dotted form.

    Examples:
        >>> dotted(("bind_mounts", 0, "host_path"))
        'bind_mounts[0].host_path'
    """
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")


def _as_json(value: Any) -> Any:  # Any: any value of the user's dict
    """Copy a dict with keys as in JSON; values that JSON cannot represent are kept."""
    if isinstance(value, Mapping):
        return {json_key(key): _as_json(inner) for key, inner in value.items()}
    return [_as_json(inner) for inner in value] if isinstance(value, list) else copy.deepcopy(value)


def _locate(path: Path, directory: Path) -> Path:
    """Find the config that the user named: relative to the working directory, else to the definition's directory."""
    for candidate in (path, directory / path):
        if candidate.is_file():
            return candidate.resolve()
    for candidate in (path, directory / path):
        if candidate.is_dir():
            raise ConfigError(f"{str(path)!r} is a directory, not a config file.", path=str(candidate), hint=_files_in(candidate))
    raise ConfigError(f"There is no config file {str(path)!r}.", path=str(path), hint=_files_in(directory))


def _files_in(directory: Path) -> str:
    others = sorted(file.name for pattern in ("*.yaml", "*.yml") for file in directory.glob(pattern) if file.is_file())
    return f"In {directory} there is: {', '.join(others)}." if others else f"There is no .yaml file in {directory}."


def _text(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            hint = "Put tables of values into a file of the definition's own, and its name into the config."
            raise ConfigError(f"{path.name} has {size:,} bytes; the limit for a config is {MAX_BYTES:,}.", path=str(path), hint=hint)
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path.name} is not UTF-8 text ({error.reason} at byte {error.start}).", path=str(path)) from None
    except OSError as error:
        raise ConfigError(f"{path.name} cannot be read: {error.strerror}.", path=str(path)) from None
