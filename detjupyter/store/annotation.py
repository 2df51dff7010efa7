"""What a user adds to a run: a name, a note, tags, a star, and whether lists hide it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from detjupyter.errors import ArgumentError
from detjupyter.protocol.limits import LONGEST_NAME, LONGEST_NOTE, LONGEST_TAG, MOST_TAGS
from detjupyter.protocol.records import RunRecord
from detjupyter.text import shortened


@dataclass(frozen=True, slots=True)
class Annotation:
    """A change of what a user has added to runs; None leaves a value as it is.

    Attributes:
        name: A text of one line, up to 200 characters; empty for none.
        note: Up to 10,000 characters, also of several lines; empty for none.
        tags: The new tags, in place of all others; each of one line, up to 100 characters, not empty and without a comma. A run has up
            to 50.
        add_tags: Tags that are added.
        remove_tags: Tags that are removed; a run need not have them.
        starred: Whether the run has a star.
        archived: Whether lists of runs hide it.

    Raises:
        ArgumentError: A value has another type, or is too long.
    """

    name: str | None = None
    note: str | None = None
    tags: Iterable[str] | None = None
    add_tags: Iterable[str] = ()
    remove_tags: Iterable[str] = ()
    starred: bool | None = None
    archived: bool | None = None

    def __post_init__(self) -> None:
        for field, checked in (
            ("name", None if self.name is None else _line("name", self.name, LONGEST_NAME)),
            ("note", None if self.note is None else _text("note", self.note, LONGEST_NOTE)),
            ("tags", None if self.tags is None else _tags(self.tags)),
            ("add_tags", _tags(self.add_tags)),
            ("remove_tags", _tags(self.remove_tags)),
        ):
            object.__setattr__(self, field, checked)
        for field in ("starred", "archived"):
            value = getattr(self, field)
            if value is not None and not isinstance(value, bool):
                raise ArgumentError(f"{field} must be True or False, not {value!r}.")

    def changes(self, run: RunRecord) -> dict[str, Any]:
        """Return the fields of ``run`` that change, with their new values.

        Raises:
            ArgumentError: It would have too many tags.
        """
        tags = run.tags if self.tags is None else tuple(self.tags)
        removed = set(self.remove_tags)
        tags = tuple(dict.fromkeys(tag for tag in (*tags, *self.add_tags) if tag not in removed))
        if len(tags) > MOST_TAGS:
            raise ArgumentError(f"A run has at most {MOST_TAGS} tags, not {len(tags)}.", where=run.id)
        wanted = {"name": self.name, "note": self.note, "tags": tags, "starred": self.starred, "archived": self.archived}
        return {field: value for field, value in wanted.items() if value is not None and value != getattr(run, field)}


def _tags(tags: Iterable[str]) -> tuple[str, ...]:
    if isinstance(tags, str) or not isinstance(tags, Iterable):
        raise ArgumentError(f"Tags must be a list of texts, not {_shown(tags)}.")
    found = tuple(dict.fromkeys(_line("tag", tag, LONGEST_TAG) for tag in tags))
    if "" in found:
        raise ArgumentError("A tag must not be empty.")
    for tag in found:
        if "," in tag:
            hint = "Commas separate tags where several are typed; add each as a tag of its own."
            raise ArgumentError(f"A tag must not contain a comma: {_shown(tag)}.", hint=hint)
    return found


def _line(what: str, value: object, most: int) -> str:
    text = _text(what, value, most).strip()
    if len(text.splitlines()) > 1:
        raise ArgumentError(f"A {what} has one line, not {len(text.splitlines())}.")
    return text


def _text(what: str, value: object, most: int) -> str:
    if not isinstance(value, str):
        raise ArgumentError(f"A {what} must be a text, not {_shown(value)}.")
    if len(value) > most:
        raise ArgumentError(f"A {what} has at most {most:,} characters, not {len(value):,}.")
    return value


def _shown(value: object) -> str:
    return shortened(repr(value), 100)
