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


def default_config(directory: Path) -> Path | None:
    """Return the config of a definition: its ``const.yaml``, else its only config file; None if there are none or several."""
    default = directory / DEFAULT_NAME
    if default.is_file() or default.is_dir():
        return default
    found = config_files(directory)
    return directory / found[0] if len(found) == 1 else None


def config_files(directory: Path) -> Sequence[str]:
    """Return the names of the YAML files directly in ``directory`` that have keys of a config, those with hyperparameters first."""
    try:
        with os.scandir(directory) as entries:
            names = sorted(entry.name for entry in entries if entry.name.endswith((".yaml", ".yml")) and not entry.name.startswith("."))
    except OSError:
        return ()
    keys = {name: _keys(directory / name) for name in names[:_MOST_FILES]}
    return sorted((name for name in keys if keys[name]), key=lambda name: (b"hyperparameters" not in keys[name], name))


def _keys(path: Path) -> set[bytes]:
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return set()
        return {match[1] for match in _KEYS.finditer(path.read_bytes())}
    except OSError:
        return set()
