"""Edits of a definition's `.detignore` that a browser asks for: shown with their effect, saved, and taken back.

The one file that this server ever writes in a definition is its `.detignore`. What is saved is what was shown: the edit is made anew and
refused if the file is no longer the one that it was shown for.

Thread: everything here runs in worker threads, and may in several at once.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from detjupyter.errors import DefinitionError
from detjupyter.protocol.files import EffectRecord, IgnoreEditRecord
from detjupyter.server.answers import RefusedError
from detjupyter.server.listing import IGNORE_FILE, open_definition, printable

if TYPE_CHECKING:
    from detjupyter.bundle import Proposal, Undo

KEPT_UNDOS = 50
NO_FILE = "none"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a browser asks for: that ``file`` of the definition at ``path`` ships, or stays.

    ``expected_hash`` is None as long as only the effect is wanted; else the edit is saved if the `.detignore` is still that one.
    """

    path: str
    file: str
    include: bool
    expected_hash: str | None


class IgnoreEdits:
    """The edits of one server, and the way back from the last of them."""

    def __init__(self) -> None:
        self._undos: OrderedDict[str, tuple[Path, Undo]] = OrderedDict()
        self._lock = threading.Lock()

    def edit(self, root: Path, wish: Wish) -> IgnoreEditRecord:
        """Return the edit that fulfils the wish, saved if that is part of it.

        Raises:
            DefinitionError: the path is refused, or no line of `.detignore` can do it.
            RefusedError: the file has gone; the `.detignore` is another one by now, leads out of the server's root, or cannot be written.
        """
        from detjupyter.bundle import apply, propose

        place = _place(root, wish)
        with self._lock:
            proposal = propose(place, wish.file, include=wish.include)
            record = _record(wish, proposal)
            if wish.expected_hash is None:
                return record
            if wish.expected_hash != record.expected_hash:
                raise RefusedError(
                    409,
                    f"{IGNORE_FILE} has been changed since the effect was shown, so nothing was saved.",
                    hint="Look at its effect again before you save it.",
                )
            with_undo = replace(record, undo=secrets.token_urlsafe(12))
            try:
                self._undos[str(with_undo.undo)] = (place, apply(place, proposal))
            except DefinitionError as error:
                raise RefusedError(409, error.message, hint=error.hint) from error
            if len(self._undos) > KEPT_UNDOS:
                self._undos.popitem(last=False)
            return with_undo

    def undo(self, word: str) -> None:
        """Take back the edit that ``word`` was given for.

        Raises:
            RefusedError: there is no such edit any more, or the `.detignore` has been changed since.
        """
        from detjupyter.bundle import undo

        with self._lock:
            found = self._undos.get(word)
            if found is None:
                raise RefusedError(
                    404, "This change can no longer be undone from here.", hint=f"Edit {IGNORE_FILE}: it is a file like any other."
                )
            try:
                undo(*found)
            except DefinitionError as error:
                raise RefusedError(409, error.message, hint=error.hint) from error
            del self._undos[word]


def _place(root: Path, wish: Wish) -> Path:
    """Return the definition's directory, once it is sure that the wish concerns nothing outside of it."""
    definition = open_definition(root, wish.path)
    if definition.is_file:
        raise DefinitionError(
            f"{definition.path.name} is a model definition of one file, so nothing in it can be left out.",
            hint=f"A definition with a {IGNORE_FILE} is a directory.",
        )
    parts = wish.file.replace("\\", "/").split("/")
    if not wish.file.strip("/") or "\0" in wish.file or wish.file.startswith("/") or not {".", ".."}.isdisjoint(parts):
        raise DefinitionError(f"This is no path in a model definition: {wish.file!r:.200}.", hint="Paths are relative to its root.")
    if not os.path.lexists(definition.root / wish.file.rstrip("/")):
        raise RefusedError(404, f"There is no {wish.file!r:.200} here any more.", hint="Refresh the panel to see what there is.")
    # a link is written through, and must not lead to a file that this server does not serve
    if not (definition.root / IGNORE_FILE).resolve().is_relative_to(root):
        raise RefusedError(409, f"{IGNORE_FILE} leads out of the server's root, so it is not written.", hint="Edit the file where it is.")
    return definition.root


def _record(wish: Wish, proposal: Proposal) -> IgnoreEditRecord:
    effect = proposal.effect
    names = tuple(map(printable, effect.names))
    return IgnoreEditRecord(
        path=wish.path,
        file=wish.file,
        include=wish.include,
        added=tuple(printable(line.text) for line in proposal.added),
        removed=tuple(printable(line.text) for line in proposal.removed),
        ships=EffectRecord(effect.newly_shipped, effect.newly_shipped_bytes, names[: effect.newly_shipped]),
        stays=EffectRecord(effect.newly_left_out, effect.newly_left_out_bytes, names[effect.newly_shipped :]),
        expected_hash=NO_FILE if proposal.old is None else hashlib.sha256(proposal.old).hexdigest(),
        undo=None,
    )
