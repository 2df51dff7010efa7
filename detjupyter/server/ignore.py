"""Edits of a definition's `.detignore` for a browser: shown with their effect, saved, and undone.

The `.detignore` is the only file of a definition that this server writes. A saved edit is the edit that was shown: it is computed again,
and refused if the file has changed since.

Thread: everything here runs in worker threads, possibly in several at once.
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
from detjupyter.server.listing import IGNORE_FILE, open_definition

if TYPE_CHECKING:
    from detjupyter.bundle import Proposal, Undo

KEPT_UNDOS = 50
NO_FILE = "none"


@dataclass(frozen=True, slots=True)
class EditRequest:
    """A request to include or exclude ``file`` of the definition at ``path``.

    ``expected_hash`` is None to compute only the effect; else the edit is saved if the `.detignore` still has that hash.
    """

    path: str
    file: str
    include: bool
    expected_hash: str | None


class IgnoreEdits:
    """The edits of one server, and how to undo the last of them."""

    def __init__(self) -> None:
        self._undos: OrderedDict[str, tuple[Path, Undo]] = OrderedDict()
        self._lock = threading.Lock()

    def edit(self, root: Path, request: EditRequest) -> IgnoreEditRecord:
        """Return the requested edit, and save it if the request says so.

        Raises:
            DefinitionError: The path is refused, or no line of `.detignore` can express the edit.
            RefusedError: The file does not exist, or the `.detignore` has changed, leads outside of the root, or cannot be written.
        """
        from detjupyter.bundle import apply, propose

        place = _place(root, request)
        with self._lock:
            proposal = propose(place, request.file, include=request.include)
            record = _record(request, proposal)
            if request.expected_hash is None:
                return record
            if request.expected_hash != record.expected_hash:
                raise RefusedError(
                    409,
                    f"{IGNORE_FILE} was changed after its effect was shown, so nothing was saved.",
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

    def undo(self, token: str) -> None:
        """Undo the edit with this token.

        Raises:
            RefusedError: The edit can no longer be undone, or the `.detignore` has changed since.
        """
        from detjupyter.bundle import undo

        with self._lock:
            found = self._undos.get(token)
            if found is None:
                raise RefusedError(
                    404, "This change can no longer be undone from here.", hint=f"Edit {IGNORE_FILE}: it is a file like any other."
                )
            try:
                undo(*found)
            except DefinitionError as error:
                raise RefusedError(409, error.message, hint=error.hint) from error
            del self._undos[token]


def _place(root: Path, request: EditRequest) -> Path:
    """Return the definition's directory, after checking that the request affects nothing outside of it."""
    definition = open_definition(root, request.path)
    if definition.is_file:
        raise DefinitionError(
            f"{definition.path.name} is a model definition of one file, so nothing in it can be left out.",
            hint=f"A definition with a {IGNORE_FILE} is a directory.",
        )
    parts = request.file.replace("\\", "/").split("/")
    if not request.file.strip("/") or "\0" in request.file or request.file.startswith("/") or not {".", ".."}.isdisjoint(parts):
        raise DefinitionError(f"Not a path in a model definition: {request.file!r:.200}.", hint="Paths are relative to its root.")
    # A link in the path must not tell what exists outside of the root; the last part is not followed, because a link is an entry itself.
    place = definition.root / request.file.rstrip("/")
    if not Path(os.path.realpath(place.parent)).is_relative_to(root) or not os.path.lexists(place):
        raise RefusedError(404, f"{request.file!r:.200} does not exist any more.", hint="Refresh the panel to see the current files.")
    # writing follows a link, which must not lead to a file that this server does not serve
    if not (definition.root / IGNORE_FILE).resolve().is_relative_to(root):
        raise RefusedError(
            409, f"{IGNORE_FILE} leads outside of the server's root, so it is not written.", hint="Edit the file where it is."
        )
    return definition.root


def _record(request: EditRequest, proposal: Proposal) -> IgnoreEditRecord:
    effect = proposal.effect
    names = tuple(effect.names)
    return IgnoreEditRecord(
        path=request.path,
        file=request.file,
        include=request.include,
        added=tuple(line.text for line in proposal.added),
        removed=tuple(line.text for line in proposal.removed),
        ships=EffectRecord(effect.newly_shipped, effect.newly_shipped_bytes, names[: effect.newly_shipped]),
        left_out=EffectRecord(effect.newly_left_out, effect.newly_left_out_bytes, names[effect.newly_shipped :]),
        expected_hash=NO_FILE if proposal.old is None else hashlib.sha256(proposal.old).hexdigest(),
        undo=None,
    )
