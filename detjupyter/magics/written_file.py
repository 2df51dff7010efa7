"""Write a cell to a file of a model definition: check the path, compute the effect, and undo it."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from detjupyter.bundle.replacing import replace_file
from detjupyter.bundle.rules import IGNORE_FILE_NAME
from detjupyter.errors import DefinitionError

if TYPE_CHECKING:
    from detjupyter.definition.model_definition import ModelDefinition
    from detjupyter.session.session import Session
    from detjupyter.widgets.diff import TextChange

_NAMED = 5


class WrittenFile:
    """One file, which need not exist yet.

    Args:
        definition: The model definition.
        name: Relative to its root, POSIX.

    Attributes:
        definition: The model definition.
        name: The normalized name.
        target: Its path; the target if it is a symlink.

    Raises:
        DefinitionError: The name leads outside of the definition, or to something other than a file.
    """

    def __init__(self, definition: ModelDefinition, name: str) -> None:
        self.definition = definition
        path = PurePosixPath(name)
        if "\0" in name or not path.parts or path.is_absolute() or ".." in path.parts or name.endswith("/"):
            raise self._refused(f"{name!r} does not name a file inside the model definition.", definition.root)
        self.name = path.as_posix()
        if definition.is_file and self.name != definition.path.name:
            message = f"The model definition is the single file {definition.path.name}, so {self.name} would not be part of it."
            raise self._refused(message, definition.path)
        try:
            self.target = self._located()
        except OSError as error:  # a name that is too long, or a directory without permission to read
            raise self._refused(f"{self.name} cannot be written: {error.strerror or error}.", definition.root / self.name) from None

    def content(self, cell: str) -> bytes:
        """Return the bytes to write: UTF-8, with the current line ends of the file, and a line end at the end."""
        text = cell if cell.endswith("\n") or not cell else f"{cell}\n"
        there = self._there()
        if there is not None and b"\r\n" in there and there.count(b"\n") == there.count(b"\r\n"):
            text = text.replace("\r\n", "\n").replace("\n", "\r\n")
        return text.encode("utf-8")

    def lines(self, cell: str) -> str:
        """Return the number of lines of the new file: ``12 lines``."""
        count = self.content(cell).count(b"\n")
        return f"{count:,} {'line' if count == 1 else 'lines'}"

    def change(self, cell: str) -> TextChange | None:
        """Return the difference from the existing file, None if there is none."""
        from detjupyter.widgets.diff import TextChange

        there = self._there()
        if there is None:
            return None
        return TextChange.between(self.name, *(part.decode("utf-8", "replace") for part in (there, self.content(cell))))

    def effect(self, cell: str) -> list[str]:
        """Return sentences about the effect of the new content on the files that ship; empty unless the file is the `.detignore`."""
        if self.name != IGNORE_FILE_NAME:
            return []
        from detjupyter.bundle import Effect, scan
        from detjupyter.widgets.verdict import effect_lines

        new = self.content(cell)
        was, will = (
            dict(scan(self.definition.root, defaults=self.definition.defaults, ignore=ignore).included_sizes()) for ignore in (None, new)
        )
        shipped, left_out = sorted(will.keys() - was.keys()), sorted(was.keys() - will.keys())
        return effect_lines(
            Effect(
                len(shipped),
                sum(will[path] for path in shipped),
                len(left_out),
                sum(was[path] for path in left_out),
                tuple([*shipped, *left_out][:_NAMED]),
            )
        )

    def write(self, cell: str) -> Replaced:
        """Replace the file with the cell in one step, and return how to undo it; folders are created, the mode is kept.

        Raises:
            DefinitionError: The file cannot be written.
        """
        before, content = self._there(), self.content(cell)
        made = [above for above in self.target.parents if not above.exists()]
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self.target, content)
        except OSError as error:
            raise self._unwritable(error) from None
        return Replaced(self, before, content, tuple(made))

    def why_not_shipped(self) -> str | None:
        """Return a sentence about the rule that leaves the file out, None if it ships."""
        if self.definition.is_file or self.name == IGNORE_FILE_NAME:
            return None
        from detjupyter.bundle import explain
        from detjupyter.widgets.verdict import Why

        verdict = explain(self.definition.root, self.name, defaults=self.definition.defaults)
        return None if verdict.included else Why(verdict).sentence()

    def is_used_by(self, session: Session) -> bool:
        """Return whether the code or the config that the session was built from differs from the file on disk."""
        card = session.card()
        config = Path(os.path.realpath(card.config_path)) if card.config_path else None
        return bool(card.changed) or config == self.target

    def _located(self) -> Path:
        """Return the path of the file, which might not exist yet."""
        root = Path(os.path.realpath(self.definition.root))
        target = Path(os.path.realpath(root / self.name))
        if root not in target.parents:
            raise self._refused(f"{self.name} leads outside of the model definition through a symlink.", target)
        if target.exists() and not target.is_file():
            raise self._refused(f"{self.name} is {'a directory' if target.is_dir() else 'not a regular file'}.", target)
        blocking = next((above for above in target.parents if above.is_file()), None)
        if blocking is not None:
            raise self._refused(f"{self.name} would be below {blocking.relative_to(root)}, which is a file.", blocking)
        return target

    def _there(self) -> bytes | None:
        try:
            return self.target.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DefinitionError(
                f"{self.name} cannot be read: {error.strerror or error}.", path=str(self.target), hint="Make it readable, or name another."
            ) from None

    def _unwritable(self, error: OSError) -> DefinitionError:
        message = f"{self.name} cannot be written: {error.strerror or error}."
        return DefinitionError(message, path=str(self.target), hint="Make the directory writable, or choose another name.")

    @staticmethod
    def _refused(message: str, path: Path) -> DefinitionError:
        hint = "Name it relative to the definition's root, for example `%%det_file nets/layers.py`."
        return DefinitionError(message, path=str(path), hint=hint)


@dataclass(frozen=True, slots=True)
class Replaced:
    """The content of a file before a cell was written to it (None: there was no file), its new content, and the created folders."""

    file: WrittenFile
    before: bytes | None
    after: bytes
    made: tuple[Path, ...]

    def restore(self) -> str:
        """Restore the file, and return a sentence about it.

        Raises:
            DefinitionError: The file was changed since, or cannot be written.
        """
        file = self.file
        if file._there() != self.after:
            raise DefinitionError(
                f"{file.name} was changed by something else since then, so it is not restored.",
                path=str(file.target),
                hint="Look at the file, and write what you want by `%%det_file`.",
            )
        try:
            if self.before is not None:
                replace_file(file.target, self.before)
                return f"{file.name}: restored."
            file.target.unlink()
        except OSError as error:
            raise file._unwritable(error) from None
        for folder in self.made:
            with suppress(OSError):  # the folder contains other files
                folder.rmdir()
        return f"{file.name}: removed, because it did not exist before."
