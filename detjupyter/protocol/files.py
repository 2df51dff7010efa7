"""The files of a model definition as a browser shows them, and edits of its `.detignore`.

A definition may contain a hundred thousand paths, so they are sent as columns, and each rule only once.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RuleRecord:
    """A rule that decided about paths: the ``line`` (from 1) of its ``source``, and whether the paths that it matches ship.

    ``source`` is ``always``, ``default`` or ``.detignore``.
    """

    source: str
    line: int | None
    pattern: str
    includes: bool


@dataclass(frozen=True, slots=True)
class FileTable:
    """The paths of a model definition as columns of one length, sorted by path.

    ``paths`` are relative and POSIX, with a final ``/`` for a directory that is left out as a whole (its size is 0: it is not walked).
    ``rules`` are indices into the definition's list of rules; -1 where no rule matches the path, so that it ships. ``symlinks`` are the
    indices of the symbolic links in these columns.
    """

    paths: tuple[str, ...]
    sizes: tuple[int, ...]
    rules: tuple[int, ...]
    symlinks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LargestItemRecord:
    """One of the largest files or folders (with a final ``/``) that ship; ``files`` is the number of files in it."""

    path: str
    size_bytes: int
    files: int


@dataclass(frozen=True, slots=True)
class DefinitionRecord:
    """The files of a model definition as a browser shows them; ``path`` is relative to the server's root.

    ``truncated`` counts the paths omitted from ``files`` because there are too many to show. ``largest`` is empty unless the total is near
    the limit or over it. ``config`` is the YAML file to load the definition with; None if it need not be named. ``problems`` are sentences
    about lines of `.detignore` that cannot be parsed, ``remarks`` about files that ship although the user probably does not want it.
    ``is_file``: the definition is a single file, so there is no `.detignore` to edit.
    """

    path: str
    name: str
    is_file: bool
    entrypoints: tuple[str, ...]
    config: str | None
    rules: tuple[RuleRecord, ...]
    files: FileTable
    truncated: int
    included_files: int
    included_bytes: int
    excluded_entries: int
    limit_bytes: int
    largest: tuple[LargestItemRecord, ...]
    problems: tuple[str, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScanningRecord:
    """The answer while a long scan is running: the number of paths found so far. The next request waits for the same scan."""

    path: str
    found: int


@dataclass(frozen=True, slots=True)
class DeterminedRecord:
    """Where Determined's uploader would decide differently, as columns of one length, and why it would fail, if it would.

    ``paths`` are those of the definition's table; paths in a directory that is left out as a whole count for that directory. ``ships`` is
    whether the uploader ships them, ``counts`` the number of paths, ``total`` the sum of the counts.
    """

    path: str
    paths: tuple[str, ...]
    ships: tuple[bool, ...]
    counts: tuple[int, ...]
    total: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EffectRecord:
    """The files that an edit of `.detignore` adds or removes: their number, their size, and the first few names."""

    files: int
    size_bytes: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IgnoreEditRecord:
    """An edit of `.detignore` that lets ``file`` ship or leaves it out: the lines it adds and removes, and its effect.

    ``expected_hash`` identifies the `.detignore` that the edit was computed for. ``undo`` is None until the edit is saved, then the token
    that undoes it.
    """

    path: str
    file: str
    include: bool
    added: tuple[str, ...]
    removed: tuple[str, ...]
    ships: EffectRecord
    left_out: EffectRecord
    expected_hash: str
    undo: str | None
