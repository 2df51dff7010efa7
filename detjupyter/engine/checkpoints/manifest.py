"""The directory of a checkpoint: writes its manifest, and verifies its files against the manifest.

A directory is written under another name and renamed when it is complete (see :mod:`detjupyter.store.leftovers`).
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from detjupyter.errors import CheckpointError
from detjupyter.next_step import NextStep
from detjupyter.store.leftovers import MANIFEST, is_count, is_partial, partial_name, sweep

__all__ = [
    "FORMAT",
    "MANIFEST",
    "Manifest",
    "earlier_than",
    "hash_of",
    "is_count",
    "partial_name",
    "read_manifest",
    "require_complete",
    "resolved",
    "seal",
    "signed_text_of",
    "sweep",
    "sync_directory",
    "verify",
]

FORMAT = 2
"""Format 1 had no hashes, and no fields about the code."""

_SIGNATURE = "signature"
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest of a complete checkpoint.

    Attributes:
        run_id: The run that the checkpoint belongs to.
        batches_trained: How many batches the trial was trained on.
        records_trained: How many records it was trained on.
        trial_class: The name of the trial's class.
        entrypoint: The entrypoint of the class; empty before format 2.
        framework: The framework of the class; empty before format 2.
        file: The name of the definition's only file, None if the definition is a directory.
        code: The hash of the bundle whose files are in ``code/``, None without code.
        files: SHA-256 and size in bytes of every file, by its path (POSIX); empty before format 2.
    """

    run_id: str
    batches_trained: int
    records_trained: int
    trial_class: str
    entrypoint: str = ""
    framework: str = ""
    file: str | None = None
    code: str | None = None
    files: Mapping[str, tuple[str, int]] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the content of the manifest's file, without a signature."""
        files = {path: {"sha256": digest, "size_bytes": size} for path, (digest, size) in (self.files or {}).items()}
        fields = {name: getattr(self, name) for name in self.__slots__ if name != "files"}
        return {"format": FORMAT, **fields, "files": files}


def resolved(directory: Path) -> Path:
    """Return the path of a checkpoint without links: a link could lead elsewhere after the checkpoint was verified.

    Raises:
        CheckpointError: No file system has such a path.
    """
    try:
        return Path(os.path.realpath(directory))
    except ValueError:  # it contains a null character, or half of a UTF-16 pair
        raise CheckpointError("The checkpoint cannot be read: its path is not valid text.", path=ascii(str(directory))) from None


def require_complete(directory: Path) -> None:
    """Refuse a directory with the name of an incomplete checkpoint: its files can look like a checkpoint of Determined.

    Raises:
        CheckpointError: The directory has such a name.
    """
    if is_partial(directory):
        raise CheckpointError(
            "The checkpoint is incomplete: it is being written or deleted, or the process that did so has ended.",
            path=str(directory),
            hint="Name a complete one; the history of the run lists them.",
        )


def seal(directory: Path, manifest: Manifest, sign: Callable[[bytes, Path, Manifest], str]) -> int:
    """Write the manifest with its signature, flush all files and directories to the disk (``fsync``), and return the total size in bytes.

    Args:
        directory: The checkpoint, with all its other files.
        manifest: Its manifest, without the files.
        sign: Returns the signature for a text, a directory, and its complete manifest.

    Raises:
        OSError: Writing failed, for example because the disk is full.
    """
    files = {path.relative_to(directory).as_posix(): _hash_and_sync(path) for path in _files_in(directory)}
    sealed = replace(manifest, files=files)
    target, data = directory / MANIFEST, sealed.to_dict()
    target.write_text(json.dumps(data | {_SIGNATURE: sign(_signed_text(data), directory, sealed)}, indent=1), encoding="utf-8")
    _, size_bytes = _hash_and_sync(target)
    # The entry of a file is durable only after its directory was flushed, too; the deepest directories come first.
    for folder in sorted((path for path in directory.rglob("*") if path.is_dir()), reverse=True):
        sync_directory(folder)
    sync_directory(directory)
    return size_bytes + sum(size for _, size in files.values())


def read_manifest(directory: Path) -> Manifest:
    """Return the manifest of a checkpoint.

    Raises:
        CheckpointError: There is no manifest, it cannot be read, or a newer detjupyter wrote it.
    """
    try:
        if (directory / MANIFEST).exists() and not (directory / MANIFEST).is_file():  # reading a pipe could wait forever
            raise ValueError("it is not a file")
        data = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        version = _whole(data, "format", 1)
        if version <= FORMAT:
            return _manifest(data)
    except FileNotFoundError:
        raise CheckpointError("There is no checkpoint here.", path=str(directory)) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(directory, f"The checkpoint's manifest cannot be read: {type(error).__name__}: {error}.") from None
    raise CheckpointError(
        f"A newer detjupyter wrote the checkpoint (format {version}; this version reads formats up to {FORMAT}).",
        path=str(directory),
        hint="Upgrade detjupyter.",
    )


def signed_text_of(directory: Path) -> tuple[bytes, str]:
    """Return the text of a checkpoint's manifest that its signature is for, and the signature; empty if it has none.

    Raises:
        OSError: The manifest cannot be read.
        ValueError: It is damaged.
    """
    data = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    return _signed_text(data), str(data.get(_SIGNATURE, ""))


def _signed_text(data: Mapping[str, Any]) -> bytes:
    """Return everything in a manifest except its signature, also what a later version adds, always in the same form."""
    return json.dumps({name: value for name, value in data.items() if name != _SIGNATURE}, sort_keys=True).encode("ascii")


def verify(directory: Path, manifest: Manifest) -> None:
    """Read every file and compare it with the manifest. A manifest of format 1 has no hashes, so nothing is compared.

    Raises:
        CheckpointError: A file is missing, or differs from what was written.
    """
    for path, (digest, size_bytes) in (manifest.files or {}).items():
        file = directory / path
        try:
            facts = file.stat()
            if not stat.S_ISREG(facts.st_mode):  # reading a pipe or a device could wait forever
                raise _damaged(directory, f"The checkpoint is damaged: {path} is not a file.")
            same_size = facts.st_size == size_bytes
            is_intact = same_size and hash_of(file) == digest
        except FileNotFoundError:
            raise _damaged(directory, f"The checkpoint is incomplete: {path} is missing.") from None
        except OSError as error:
            raise _damaged(directory, f"The checkpoint cannot be read: {path}: {error.strerror or error}.") from None
        if not is_intact:
            how = "its content was changed" if same_size else f"it has {facts.st_size:,} bytes instead of {size_bytes:,}"
            raise _damaged(directory, f"The checkpoint is damaged: {path} differs from what was written; {how}.")


def earlier_than(directory: Path) -> Path | None:
    """Return the newest complete checkpoint in the same run that is older than ``directory``; without one, the newest of the others."""
    found = []
    for other in directory.parent.iterdir() if directory.parent.is_dir() else ():
        if other == directory or other.name.startswith(".") or not (other / MANIFEST).is_file():
            continue
        try:
            manifest = read_manifest(other)
            # Sizes only: this is for a hint, and hashing all checkpoints of a run would take too long.
            if all((other / path).stat().st_size == size for path, (_, size) in (manifest.files or {}).items()):
                found.append((manifest.batches_trained, other.name, other))
        except (CheckpointError, OSError):
            continue
    batches = _batches_in_name(directory)
    earlier = [entry for entry in found if batches is None or entry[0] <= batches]
    return max(earlier or found)[2] if found else None


def hash_of(path: Path) -> str:
    """Return a file's SHA-256. The file is hashed in pieces, for each of which Python releases the interpreter lock."""
    with path.open("rb") as file:
        return _digest(iter(lambda: file.read(_PIECE_BYTES), b""))


def sync_directory(directory: Path) -> None:
    """Flush the entries of a directory to the disk, if the system supports that."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except (PermissionError, IsADirectoryError):  # Windows cannot open directories, and does not need this
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _hash_and_sync(path: Path) -> tuple[str, int]:
    digest = hash_of(path)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        return digest, os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def _digest(pieces: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _files_in(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file() and path != directory / MANIFEST)


def _manifest(data: Mapping[str, Any]) -> Manifest:
    files = {path: (_text(entry, "sha256"), _whole(entry, "size_bytes")) for path, entry in data.get("files", {}).items()}
    if any(path.startswith("/") or ".." in path.split("/") for path in files):  # a manipulated manifest must not name other files
        raise ValueError("a path leads out of the checkpoint")
    file = None if data.get("file") is None else _text(data, "file")
    if file is not None and (file in ("", ".", "..") or "/" in file or "\\" in file):
        raise ValueError("file is not the name of a file")
    return Manifest(
        run_id=_text(data, "run_id", ""),
        batches_trained=_whole(data, "batches_trained"),
        records_trained=_whole(data, "records_trained"),
        trial_class=_text(data, "trial_class"),
        entrypoint=_text(data, "entrypoint", ""),
        framework=_text(data, "framework", ""),
        file=file,
        code=None if data.get("code") is None else _text(data, "code"),
        files=files,
    )


def _text(data: Mapping[str, Any], key: str, default: str | None = None) -> str:
    value = data[key] if default is None else data.get(key, default)
    if not isinstance(value, str):
        raise ValueError(f"{key} is not text")
    return value


def _whole(data: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value = data[key] if default is None else data.get(key, default)
    if not is_count(value):
        raise ValueError(f"{key} is {str(value)[:40]}, not a whole number from 0")
    return value


def _damaged(directory: Path, message: str) -> CheckpointError:
    earlier = earlier_than(directory)
    if earlier is None:
        hint = "This run has no other checkpoint."
    else:
        hint = f"{NextStep.RESTORE(earlier.name)} restores the complete one before it."
    return CheckpointError(message, path=str(directory), hint=hint)


def _batches_in_name(directory: Path) -> int | None:
    """Return the number of batches in a checkpoint's name, for a checkpoint whose manifest may be damaged; None if there is no number."""
    parts = directory.name.split("-")
    return int(parts[-2]) if len(parts) > 1 and parts[-2].isdecimal() else None
