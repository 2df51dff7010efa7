"""Read YAML 1.2 with the line of every key."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from detjupyter.errors import ConfigError

#: The maximum number of values that anchors may expand to.
MAX_VALUES = 200_000

Keys = tuple[str | int, ...]  # the path to a value: names, and indices of lists
Lines = Mapping[Keys, tuple[int, int]]  # line and column of each key, and of each item of a list, from 1

_TAG = "tag:yaml.org,2002:"


def read_yaml(text: str, path: Path) -> tuple[dict[str, Any], Lines]:
    """Return the keys of a file, and the position of each.

    The format is YAML 1.2: ``1e-4`` is a number, ``on`` is text, ``0777`` is 777. Anchors and ``<<`` are supported. A date is text. Keys
    that are not text are converted to text as in JSON, in which Determined sends a config to its master.

    Args:
        text: The content of the file.
        path: The file, for messages.

    Raises:
        ConfigError: The text is not YAML, contains a duplicate key, or has values that JSON cannot represent.
    """
    raw, lines = _parsed(text, path)
    return copy.deepcopy(raw), lines  # a copy: the cache keeps the original


@lru_cache(maxsize=4)  # a load reads its config once to choose the seed, and again to sample with it: 20,000 keys take more than a second
def _parsed(text: str, path: Path) -> tuple[dict[str, Any], Lines]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    yaml = YAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False  # a second anchor with the same name replaces the first, as YAML specifies
    lines: dict[Keys, tuple[int, int]] = {}
    try:
        node = yaml.compose(text)
        raw = None if node is None else _Builder(yaml.constructor, text, path, lines).value(node, ())
    except MarkedYAMLError as error:
        reason = (error.problem or error.context or "it cannot be parsed").strip().splitlines()[0]
        raise _invalid(reason, text, path, error.problem_mark or error.context_mark) from None
    except RecursionError:
        raise ConfigError(f"{path.name} is not valid YAML: it is nested too deeply.", path=str(path)) from None
    except (YAMLError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(f"{path.name} is not valid YAML: {reason}.", path=str(path)) from None
    if raw is None:
        return {}, {}
    if not isinstance(raw, dict):
        raise ConfigError(f"{path.name} contains a {type(raw).__name__}, not a map of keys to values.", path=str(path), line=1, column=1)
    return raw, lines


def json_key(key: object) -> str:
    """Return a key as JSON represents it.

    Examples:
        >>> json_key("a"), json_key(1), json_key(True), json_key(None)
        ('a', '1', 'true', 'null')
    """
    return key if isinstance(key, str) else json.dumps(key) if isinstance(key, (bool, int, float, type(None))) else str(key)


def _invalid(reason: str, text: str, path: Path, mark: Any) -> ConfigError:  # Any: ruamel's mark, or None
    lines = text.splitlines()
    read = lines[mark.line].strip() if mark and mark.line < len(lines) else ""
    return ConfigError(
        f"{path.name} is not valid YAML: {reason}.",
        path=str(path),
        line=mark.line + 1 if mark else None,
        column=mark.column + 1 if mark else None,
        hint=f"That line reads: {read[:200]}" if read else None,
    )


class _Builder:
    """Converts the nodes of a parsed file into values.

    ruamel's own constructor has four problems: it drops the lines; it does not detect duplicate keys in a map with ``<<``; it creates
    dates, sets and bytes, which JSON cannot represent; and it treats ``1`` and ``true`` as the same key.
    """

    def __init__(self, scalars: Any, text: str, path: Path, lines: dict[Keys, tuple[int, int]]) -> None:
        self._scalars = scalars  # ruamel's constructor, untyped
        self._text = text
        self._path = path
        self._lines = lines
        self._open: set[int] = set()
        self._values = 0

    def value(self, node: Any, keys: Keys) -> Any:
        """Build the value of the node at ``keys``."""
        self._values += 1
        if self._values > MAX_VALUES:
            raise _invalid(f"its anchors expand to more than {MAX_VALUES:,} values", self._text, self._path, node.start_mark)
        kind = node.tag.removeprefix(_TAG)
        if isinstance(node.value, str):
            if kind not in ("str", "int", "float", "bool", "null", "timestamp", "merge", "value"):
                raise self._unknown_tag(node)
            return node.value if kind in ("timestamp", "merge", "value") else self._scalars.construct_object(node)
        if kind not in ("map", "seq"):
            raise self._unknown_tag(node)
        if id(node) in self._open:
            raise _invalid("an anchor contains itself", self._text, self._path, node.start_mark)
        self._open.add(id(node))
        built = self._map(node, keys) if kind == "map" else self._list(node, keys)
        self._open.discard(id(node))
        return built

    def _list(self, node: Any, keys: Keys) -> list[Any]:
        for index, inner in enumerate(node.value):
            path = (*keys, index)
            self._lines[path] = _position(inner)
        return [self.value(inner, (*keys, index)) for index, inner in enumerate(node.value)]

    def _map(self, node: Any, keys: Keys) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, tuple[Any, Any]] = {}
        for key_node, value_node in node.value:
            key = "<<" if key_node.tag == f"{_TAG}merge" else self._key(key_node)
            if key in own:
                first = own[key][0].start_mark.line + 1
                raise _invalid(f"duplicate key `{key}` (first defined on line {first})", self._text, self._path, key_node.start_mark)
            own[key] = (key_node, value_node)
            if key_node.tag == f"{_TAG}merge":
                merged = self._merged(value_node, keys)
        built = merged
        for key, (key_node, value_node) in own.items():
            if key_node.tag != f"{_TAG}merge":
                path = (*keys, key)
                self._lines[path] = _position(key_node)
                built[key] = self.value(value_node, path)
        return built

    def _merged(self, node: Any, keys: Keys) -> dict[str, Any]:
        """Build the keys that ``<<`` merges; of several maps the earlier ones take precedence."""
        built: dict[str, Any] = {}
        for inner in reversed(node.value) if node.tag == f"{_TAG}seq" else [node]:
            value = self.value(inner, keys)
            if not isinstance(value, dict):
                raise _invalid("the value of `<<` must be a map or a list of maps", self._text, self._path, inner.start_mark)
            built.update(value)
        return built

    def _key(self, node: Any) -> str:
        if not isinstance(node.value, str):
            raise _invalid("a key is a list or a map; it should be a name", self._text, self._path, node.start_mark)
        return json_key(self.value(node, ()))

    def _unknown_tag(self, node: Any) -> ConfigError:
        tag = node.tag.replace(_TAG, "!!")
        return _invalid(f"values of the type `{tag}` are not allowed in a config", self._text, self._path, node.start_mark)


def _position(node: Any) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
