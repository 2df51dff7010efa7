"""The edits "exclude this" and "include this": the lines of `.detignore` that do it, their effect, and how to undo them.

Nothing is written before `apply`. A proposal is only returned if the rules, read again with its lines, give the requested verdict.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from detjupyter.bundle.explanation import explain_by, relative_to_root
from detjupyter.bundle.ignore import IgnoreFile, IgnoreRules, shown
from detjupyter.bundle.lines import IgnoreText, Line
from detjupyter.bundle.replacing import replace_file
from detjupyter.bundle.rules import IGNORE_FILE_NAME
from detjupyter.bundle.walk import Progress, Walk, look_at, look_through
from detjupyter.errors import DefinitionError

_NAMES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect of a change of `.detignore`.

    Attributes:
        newly_shipped: The number of files that ship after the change but did not before.
        newly_shipped_bytes: Their size.
        newly_left_out: The number of files that no longer ship.
        newly_left_out_bytes: Their size.
        names: The first few of these files, by path.
    """

    newly_shipped: int = 0
    newly_shipped_bytes: int = 0
    newly_left_out: int = 0
    newly_left_out_bytes: int = 0
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change of `.detignore` that is not written yet.

    Attributes:
        path: The path to include or exclude, relative to the root; a directory's ends in ``/``.
        include: Whether the path should ship (True) or be left out (False).
        old: The content of `.detignore` that the proposal is based on; None if there is no such file.
        new: The content that it would have.
        added: The added lines, numbered as in ``new``.
        removed: The removed lines, numbered as in ``old``.
        effect: The effect of the change.
    """

    path: str
    include: bool
    old: bytes | None
    new: bytes
    added: tuple[Line, ...]
    removed: tuple[Line, ...]
    effect: Effect

    @property
    def changes(self) -> bool:
        """Whether the proposal changes the file: False if the path already has the requested verdict."""
        return bool(self.added or self.removed)


@dataclass(frozen=True, slots=True)
class Undo:
    """How to undo an applied proposal: the content before it (None: no file) and the content after it."""

    before: bytes | None
    after: bytes


def propose(root: Path, path: str | Path, *, include: bool, defaults: bool = True, progress: Progress | None = None) -> Proposal:
    """Find the lines of `.detignore` that make a path ship, or leave it out.

    Args:
        root: The model definition, a directory.
        path: Relative to the root, or absolute; it need not exist.
        include: Whether it should ship.
        defaults: Whether the default rules apply.
        progress: As for `scan`; only the affected part of the tree is scanned.

    Raises:
        DefinitionError: The path is outside the root, a rule that always applies leaves it out, or no line can express the change.
    """
    root = root.resolve()
    if root.is_file():
        raise DefinitionError(
            f"{root.name} is the whole model definition, so no path in it can be included or excluded.",
            path=str(root),
            hint="A definition with a `.detignore` is a directory.",
        )
    relative = relative_to_root(root, path)
    old = _content(root)
    before = IgnoreRules(IgnoreFile.parse(old or b""), defaults=defaults)
    now = explain_by(before, root, relative)
    if now.included is include:
        return Proposal(relative, include, old, old or b"", (), (), Effect())
    if now.rule is not None and now.rule.source == "always":
        raise DefinitionError(
            f"{relative} cannot ship, whatever `.detignore` says: {now.rule.pattern}.",
            path=str(root / relative),
            where=now.decided_at,
            hint="Byte-compiled Python, files named `.detignore` and what cannot be read never ship. Copy what you need to another name.",
        )
    for new, added, removed in IgnoreText(old or b"").edits(now, include=include):
        after = IgnoreRules(IgnoreFile.parse(new), defaults=defaults)
        if explain_by(after, root, relative).included is include:
            return Proposal(relative, include, old, new, added, removed, _effect(root, relative, before, after, progress))
    raise DefinitionError(
        f"No line of `.detignore` can {'include' if include else 'exclude'} {relative!r}.",
        path=str(root / relative),
        hint="A name with a line break in it cannot be written there: rename it, or write a pattern with `?` by hand.",
    )


def apply(root: Path, proposal: Proposal) -> Undo:
    """Write the proposal's `.detignore`, and return how to undo it.

    Raises:
        DefinitionError: `.detignore` has changed since the proposal was made, or cannot be written.
    """
    root = root.resolve()
    _require(root, proposal.old)
    if proposal.changes:
        _write(root, proposal.new)
        return Undo(proposal.old, proposal.new)
    return Undo(proposal.old, proposal.old or b"")


def undo(root: Path, step: Undo) -> None:
    """Restore the `.detignore` from before `apply`; if there was none, the file is removed.

    Raises:
        DefinitionError: `.detignore` has changed since, or cannot be written.
    """
    root = root.resolve()
    if step.before is None and not step.after and _content(root) is None:
        return  # nothing was changed
    _require(root, step.after)
    if step.before is not None:
        _write(root, step.before)
        return
    try:
        (root / IGNORE_FILE_NAME).unlink()
    except OSError as error:
        raise _unwritable(root, error) from None


def _effect(root: Path, path: str, before: IgnoreRules, after: IgnoreRules, progress: Progress | None) -> Effect:
    """Compare the files that ship under the first component of the path: no proposed line matches any other path."""
    top = path.partition("/")[0] + ("/" if "/" in path else "")
    was, will = (_shipping(root, top, rules, progress) for rules in (before, after))
    shipped, left_out = sorted(will.keys() - was.keys()), sorted(was.keys() - will.keys())
    return Effect(
        newly_shipped=len(shipped),
        newly_shipped_bytes=sum(will[name] for name in shipped),
        newly_left_out=len(left_out),
        newly_left_out_bytes=sum(was[name] for name in left_out),
        names=tuple(shown(name) for name in (*shipped, *left_out)[:_NAMES_SHOWN]),
    )


def _shipping(root: Path, top: str, rules: IgnoreRules, progress: Progress | None) -> dict[bytes, int]:
    """Return the sizes of the files that ship at or under one path at the top of the root."""
    base, name = os.fsencode(root).rstrip(b"/") + b"/", os.fsencode(top)
    if not (root / top).exists() or not explain_by(rules, root, top).included:
        return {}
    if not top.endswith("/"):
        look = look_through(base + name, base) if (root / top).is_symlink() else look_at(base + name, follow_symlinks=False)
        return {name: look[0]}
    walk = Walk(os.fsencode(root), rules, progress=progress, top=name)
    found = {}
    for listing in walk:
        for part, size_bytes, code in zip(listing.names, listing.sizes, listing.codes, strict=True):
            if walk.verdicts[code].included:
                found[listing.prefix + part] = size_bytes
    return found


def _content(root: Path) -> bytes | None:
    path = root / IGNORE_FILE_NAME
    try:
        return path.read_bytes() if path.is_file() or path.is_symlink() else None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DefinitionError(
            f"{IGNORE_FILE_NAME} cannot be read: {error.strerror}.", path=str(path), hint="Make the file readable, then try again."
        ) from None


def _require(root: Path, expected: bytes | None) -> None:
    """Raise unless `.detignore` has the expected content."""
    if _content(root) != expected:
        raise DefinitionError(
            f"{IGNORE_FILE_NAME} was changed by something else since then, so it is not written.",
            path=str(root / IGNORE_FILE_NAME),
            hint="Look at the file, then ask for the change again.",
        )


def _write(root: Path, content: bytes) -> None:
    try:
        replace_file(root / IGNORE_FILE_NAME, content)
    except OSError as error:
        raise _unwritable(root, error) from None


def _unwritable(root: Path, error: OSError) -> DefinitionError:
    return DefinitionError(
        f"{IGNORE_FILE_NAME} cannot be written: {error.strerror}.",
        path=str(root / IGNORE_FILE_NAME),
        hint="Make the directory writable, or edit the file where it is.",
    )
