"""The changes between two versions of a definition's code, and between the values that two runs were built with."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from detjupyter.store.run_values import setting_names
from detjupyter.text import one_line, printable

_CONTEXT_LINES = 3
_MOST_LINES = 20_000  # of two files together: the comparison takes quadratic time in the worst case


@dataclass(frozen=True, slots=True)
class FileVersion:
    """A file of a bundle, as a code archive lists it.

    Attributes:
        path: The path in the bundle, POSIX.
        executable: Whether its owner could execute it.
        size_bytes: Its size.
        sha256: The hash of its content, in hex; None if it could not be read.
        kept: Whether the content itself is stored.
    """

    path: str
    executable: bool
    size_bytes: int
    sha256: str | None
    kept: bool


@dataclass(frozen=True, slots=True)
class SettingChange:
    """A value that differs: its dotted name and both values as text, None for a value that is not set."""

    name: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        before, after = ("(not set)" if value is None else value for value in (self.before, self.after))
        return one_line(f"{self.name}: {before} → {after}")


@dataclass(frozen=True, slots=True)
class CodeDiff:
    """The changes from one version to another. The text form lists the settings, then a unified diff.

    Attributes:
        added: Paths that only the later version has.
        removed: Paths that only the earlier version has.
        changed: Paths whose content or execute bit differs.
        text: The unified diff of the files.
        settings: The values that differ, if two runs are compared.
        notes: Sentences about files that could not be compared.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    text: str = ""
    settings: tuple[SettingChange, ...] = ()
    notes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.settings)

    @property
    def files(self) -> str:
        """The notes and the unified diff, without the settings; empty if there are none."""
        return printable("\n".join([*self.notes, self.text]).strip("\n"))

    def __str__(self) -> str:
        parts = ["\n".join(part) for part in (self.notes, [str(one) for one in self.settings]) if part]
        return printable("\n\n".join([*parts, self.text.rstrip("\n")]).strip("\n")) if parts or self.text else "Nothing differs."

    def __repr__(self) -> str:
        counts = [
            f"{len(paths)} {what}" for what, paths in (("added", self.added), ("removed", self.removed), ("changed", self.changed)) if paths
        ]
        counts += [f"{len(self.settings)} settings"] if self.settings else []
        return f"<CodeDiff: {', '.join(counts) or 'nothing differs'}>"


def diff_code(
    before: Sequence[FileVersion],
    after: Sequence[FileVersion],
    read_before: Callable[[str], bytes],
    read_after: Callable[[str], bytes],
) -> CodeDiff:
    """Compare two lists of files; only the contents of files that differ are read."""
    old, new = {one.path: one for one in before}, {one.path: one for one in after}
    added = tuple(sorted(new.keys() - old.keys()))
    removed = tuple(sorted(old.keys() - new.keys()))
    changed = tuple(sorted(path for path in old.keys() & new.keys() if replace(old[path], kept=True) != replace(new[path], kept=True)))
    pieces = [
        "".join(_file_diff(path, old.get(path), new.get(path), read_before, read_after)) for path in sorted((*added, *removed, *changed))
    ]
    return CodeDiff(added, removed, changed, "".join(pieces))


def diff_settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[SettingChange, ...]:
    """Compare the settings of two runs, as :func:`~detjupyter.store.run_values.settings_of` returns them."""
    changes = []
    for name in setting_names((before, after)):
        old, new = (repr(values[name]) if name in values else None for values in (before, after))
        if old != new:
            changes.append(SettingChange(name, old, new))
    return tuple(changes)


def _file_diff(
    path: str,
    old: FileVersion | None,
    new: FileVersion | None,
    read_before: Callable[[str], bytes],
    read_after: Callable[[str], bytes],
) -> Iterator[str]:
    name = path if path.isprintable() else repr(path)
    if old is not None and new is not None and old.executable != new.executable:
        yield f"{name}: {'now executable' if new.executable else 'no longer executable'}\n"
        if old.sha256 == new.sha256:
            return
    if any(one is not None and not one.kept for one in (old, new)):
        yield f"{name}: {_size(old)} → {_size(new)} (the content is not stored)\n"
        return
    texts = [_lines(read(path)) if one is not None else [] for one, read in ((old, read_before), (new, read_after))]
    if texts[0] is None or texts[1] is None:
        yield f"{name}: {_size(old)} → {_size(new)} (not text)\n"
        return
    if old is not None and new is not None and len(texts[0]) + len(texts[1]) > _MOST_LINES:
        yield f"{name}: {_size(old)} → {_size(new)} (too long to compare line by line)\n"
        return
    yield f"--- {name if old is not None else '/dev/null'}\n"
    yield f"+++ {name if new is not None else '/dev/null'}\n"
    for line in list(difflib.unified_diff(texts[0], texts[1], n=_CONTEXT_LINES))[2:]:
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _size(version: FileVersion | None) -> str:
    return "no file" if version is None else f"{version.size_bytes:,} bytes"


def _lines(content: bytes) -> list[str] | None:
    """Return text as lines with their line ends, None if the content is not text."""
    if b"\0" in content:
        return None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    # Split at line feeds only: splitlines() would also split at form feeds and similar characters, which may be inside a line of code.
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
