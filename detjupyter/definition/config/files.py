"""The configuration files of a definition for which none is named."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

#: Read if no config is given and the definition contains this file.
DEFAULT_NAME = "const.yaml"

#: The largest file that is read: the parser takes about four seconds for a megabyte.
MAX_BYTES = 2_000_000

_MOST_FILES = 100
# Keys of an experiment's config at the left margin. Parsing every YAML file instead would take seconds.
_KEYS = re.compile(rb"^(?:\xef\xbb\xbf)?[\"']?(entrypoint|hyperparameters|searcher)[\"']?[ \t]*:", re.MULTILINE)
_INDENTED_KEYS = re.compile(r"^\s+[\"']?(entrypoint|hyperparameters|searcher)[\"']?[ \t]*:", re.MULTILINE)


def default_config(directory: Path) -> Path | None:
    """Return the config of a definition: its ``const.yaml``, else its only config file; None if there are none or several."""
    default = directory / DEFAULT_NAME
    if default.is_file() or default.is_dir():
        return default
    found = config_files(directory)
    return directory / found[0] if len(found) == 1 else None


def config_files(directory: Path) -> Sequence[str]:
    """Return the names of the YAML files directly in ``directory`` that have keys of a config, those with hyperparameters first."""
    keys = {name: _keys(directory / name) for name in _yaml_files(directory)[:_MOST_FILES]}
    return sorted((name for name in keys if keys[name]), key=lambda name: (b"hyperparameters" not in keys[name], name))


def damaged_config(directory: Path) -> Path | None:
    """Return the only YAML file directly in ``directory`` if it is perhaps a config, but none of its keys is found; else None.

    It contains such keys further right, or it is not UTF-8 text, or it cannot be opened.
    """
    names = _yaml_files(directory)
    if len(names) != 1:
        return None
    path = directory / names[0]
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return None
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return path
    return path if _INDENTED_KEYS.search(text) else None


def _yaml_files(directory: Path) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return sorted(entry.name for entry in entries if entry.name.endswith((".yaml", ".yml")) and not entry.name.startswith("."))
    except OSError:
        return []


def _keys(path: Path) -> set[bytes]:
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return set()
        return {match[1] for match in _KEYS.finditer(path.read_bytes())}
    except OSError:
        return set()
