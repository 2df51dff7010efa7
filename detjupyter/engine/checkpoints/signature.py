"""Decides whether this user's kernels wrote a checkpoint: reading one, and running the code in it, can execute arbitrary code.

A manifest contains the hash of each file of its checkpoint, and a signature: the HMAC-SHA256 of the manifest under a key that only this
user can read. The key is in the history's directory and is created with the first checkpoint. The directory of a checkpoint proves nothing:
other users can write to a shared history, and another user's checkpoint can be unpacked there.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from detjupyter.engine.checkpoints.manifest import MANIFEST, Manifest, signed_text_of
from detjupyter.next_step import NextStep
from detjupyter.store.location import create_directory, create_file, home

KEY = "checkpoints.key"

_KEY_BYTES = 32
_PURPOSE = b"detjupyter checkpoint\n"  # a key for one purpose must not sign text of another
_OTHERS_READ_OR_WRITE = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_HAS_OWNERS = hasattr(os, "getuid")  # Windows has neither owners nor rights of this kind


class _KeyUnusableError(Exception):
    """The key does not exist or cannot be used. The message is a clause, without a full stop."""


def signature_for(text: bytes, directory: Path, manifest: Manifest, *, say: Callable[[str], object]) -> str:
    """Return the signature of a new checkpoint; if it cannot be signed, it is empty, and ``say`` gets a warning.

    Args:
        text: The text of the manifest.
        directory: The checkpoint, with all files except the manifest.
        manifest: Its manifest.
        say: Takes the warning.
    """
    try:
        # Another user who can rename the directories above can exchange this one while it is written.
        doubt = next(_doubts(directory, set(manifest.files or ())), None)
        if doubt is not None:  # without the name of the directory, which differs for each checkpoint: one warning is enough
            raise _KeyUnusableError(doubt.replace(f"{directory}{os.sep}", "").replace(str(directory), "its directory"))
        return _signature(_created_key(), text)
    except _KeyUnusableError as error:
        say(f"The checkpoint is not signed: {error}. Using it later can need {NextStep.TRUST}.")
        return ""


def why_foreign(directory: Path, manifest: Manifest) -> str | None:
    """Return why it is not certain that this user's kernels wrote a checkpoint, a clause without a full stop; None if it is certain.

    Args:
        directory: The checkpoint, whose files were compared with the manifest. Its path contains no links.
        manifest: Its manifest.
    """
    try:
        text, signature = signed_text_of(directory)
        if not signature:
            return "it has no signature, like the checkpoints of older versions"
        # As bytes: compare_digest refuses text that is not ASCII, and a manipulated manifest can contain any text.
        if not hmac.compare_digest(_signature(_key(), text).encode(), signature.encode("utf-8", "replace")):
            return f"its signature does not match the key {_key_path()}"
        return next(_doubts(directory, set(manifest.files or ())), None) or next(_doubts_about_parents(directory), None)
    except _KeyUnusableError as error:
        return str(error)
    except (OSError, ValueError) as error:
        return f"it cannot be read: {error}"


def not_yours(doubt: str) -> str:
    """Return the sentence about what :func:`why_foreign` returned."""
    return f"detjupyter cannot verify that your own training wrote it: {doubt}."


def _signature(key: bytes, text: bytes) -> str:
    return hmac.new(key, _PURPOSE + text, hashlib.sha256).hexdigest()


def _doubts(directory: Path, listed: set[str]) -> Iterator[str]:
    """Yield each reason for which other users may have changed the files, or which the signature does not cover."""
    is_private = _HAS_OWNERS and not directory.lstat().st_mode & _OTHERS_READ_OR_WRITE
    for place, folders, files in os.walk(directory):
        for path in (Path(place), *(Path(place, name) for name in (*folders, *files))):
            name, facts = path.relative_to(directory).as_posix(), path.lstat()
            if stat.S_ISLNK(facts.st_mode):
                yield f"{path} is a link"
            elif _HAS_OWNERS and facts.st_uid != os.getuid():
                yield f"{path} belongs to another user"
            elif _HAS_OWNERS and not is_private and facts.st_mode & _OTHERS_WRITE:  # no other user can enter a private directory
                yield f"other users can write to {path}"
            elif not stat.S_ISDIR(facts.st_mode) and name not in listed and name != MANIFEST:
                yield f"its manifest does not list {name}"


def _doubts_about_parents(directory: Path) -> Iterator[str]:
    """Yield each directory above in which other users can rename: they could exchange the checkpoint after it was verified.

    The user's own group counts as the user. Many systems and container images let a group that has one member write to the user's files.
    """
    for parent in directory.parents if _HAS_OWNERS else ():
        facts = parent.stat()
        # In a directory with the sticky bit, such as /tmp, users can only rename what is their own.
        by_group = facts.st_mode & stat.S_IWGRP and facts.st_gid != os.getegid()
        if not facts.st_mode & stat.S_ISVTX and (facts.st_mode & stat.S_IWOTH or by_group):
            yield f"other users can write to {parent}"


def _key_path() -> Path:
    try:
        return home() / KEY
    except ImportError as error:  # an interpreter without the package that knows the platform's directories
        raise _KeyUnusableError(f"the directory of the key is unknown: {error}") from None


def _created_key() -> bytes:
    """Return the key, which is created if it is missing. Of several processes that create it, one succeeds, and all return that one's."""
    path = _key_path()
    try:
        if not os.path.lexists(path):
            _create(path)
    except OSError as error:
        raise _KeyUnusableError(f"the key {path} cannot be created: {error.strerror or error}") from None
    return _key()


def _create(path: Path) -> None:
    create_directory(path.parent)
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with create_file(scratch) as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was faster
            _link(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def _link(scratch: Path, path: Path) -> None:
    """Give the complete file its name. Unlike a rename, this replaces no key that another process has created."""
    try:
        os.link(scratch, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        with create_file(path) as file:
            file.write(scratch.read_bytes())


def _key() -> bytes:
    path = _key_path()
    # Opening a pipe without O_NONBLOCK waits for a writer.
    flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, os.O_RDONLY | flags)
    except FileNotFoundError:
        raise _KeyUnusableError(f"there is no key {path}") from None
    except OSError as error:
        raise _KeyUnusableError(f"the key {path} cannot be read: {error.strerror or error}") from None
    try:
        facts = os.fstat(descriptor)  # of the open file: the path can lead to another one by now
        if not stat.S_ISREG(facts.st_mode):
            raise _KeyUnusableError(f"the key {path} is not a file")
        if _HAS_OWNERS and facts.st_uid != os.getuid():
            raise _KeyUnusableError(f"the key {path} belongs to another user")
        if _HAS_OWNERS and facts.st_mode & _OTHERS_READ_OR_WRITE:
            raise _KeyUnusableError(f"other users can read the key {path}; if you delete it, the next checkpoint creates another one")
        key = os.read(descriptor, _KEY_BYTES + 1)  # one byte more shows that a file is too long
    except OSError as error:
        raise _KeyUnusableError(f"the key {path} cannot be read: {error.strerror or error}") from None
    finally:
        os.close(descriptor)
    if len(key) != _KEY_BYTES:
        raise _KeyUnusableError(f"the key {path} is damaged; if you delete it, the next checkpoint creates another one")
    return key
