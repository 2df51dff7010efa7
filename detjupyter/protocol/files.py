"""The files of a model definition as a browser shows them, and edits of its `.detignore`.

A definition may hold a hundred thousand paths, so they travel as columns, and every rule once.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RuleRecord:
    """A rule that decided about paths: the ``line`` (from 1) of its ``source``, and whether what it speaks of ships.

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
    ``rules`` are places in the definition's list of rules; -1 where no rule speaks of the path, so that it ships. ``symlinks`` are the
    places of the symbolic links in these columns.
    """

    paths: tuple[str, ...]
    sizes: tuple[int, ...]
    rules: tuple[int, ...]
    symlinks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CulpritRecord:
    """A file, or a folder (with a final ``/``), that weighs much of what ships; ``files`` counts what is in it."""

    path: str
    size_bytes: int
    files: int


@dataclass(frozen=True, slots=True)
class DefinitionRecord:
    """The files of a model definition as a browser shows them; ``path`` is relative to the server's root.

    ``truncated`` counts the paths left out of ``files`` because there are too many to show. ``culprits`` are named when the total is near
    the limit or over it. ``problems`` are sentences about lines of `.detignore` that cannot be understood. ``is_file``: the definition is
    one file, so there is no `.detignore` to edit.
    """

    path: str
    name: str
    is_file: bool
    entrypoints: tuple[str, ...]
    rules: tuple[RuleRecord, ...]
    files: FileTable
    truncated: int
    included_files: int
    included_bytes: int
    excluded_entries: int
    limit_bytes: int
    culprits: tuple[CulpritRecord, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScanningRecord:
    """The answer while a long scan goes on: how many paths it has met. Asking again waits on."""

    path: str
    found: int


@dataclass(frozen=True, slots=True)
class DeterminedRecord:
    """Where Determined's uploader would decide otherwise, as columns of one length, and why it would fail if it would.

    ``paths`` are those of the definition's table; what lies in a directory that is left out as a whole counts for that directory.
    ``ships`` says what the uploader would do, ``counts`` about how many paths, ``total`` about how many in all.
    """

    path: str
    paths: tuple[str, ...]
    ships: tuple[bool, ...]
    counts: tuple[int, ...]
    total: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EffectRecord:
    """What an edit of `.detignore` changes, one way: how many files and bytes, and the first few names."""

    files: int
    size_bytes: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IgnoreEditRecord:
    """An edit of `.detignore` that lets ``file`` ship or leaves it out: the lines it adds and removes, and its effect.

    ``expected_hash`` names the `.detignore` that the edit was made for. ``undo`` is None until the edit is saved, then the word that takes
    it back.
    """

    path: str
    file: str
    include: bool
    added: tuple[str, ...]
    removed: tuple[str, ...]
    ships: EffectRecord
    stays: EffectRecord
    expected_hash: str
    undo: str | None
