"""The directory of a checkpoint: writes its manifest, and verifies its files against the manifest.

A directory is written under a name that begins with a dot and ends with ``.partial``, and renamed when it is complete. If a directory with
such a name is not being written or deleted, the process that did so has ended, and the directory can be deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detjupyter.errors import CheckpointError
from detjupyter.next_step import NextStep

MANIFEST = "detjupyter.json"
FORMAT = 2
"""Format 1 had no hashes, and no fields about the code."""

_PARTIAL = ".partial"
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

    def to_json(self) -> str:
        """Return the manifest as JSON."""
        files = {path: {"sha256": digest, "size_bytes": size} for path, (digest, size) in (self.files or {}).items()}
        fields = {name: getattr(self, name) for name in self.__slots__ if name != "files"}
        return json.dumps({"format": FORMAT, **fields, "files": files}, indent=1)


def partial_name(identity: str) -> str:
    """Return the name of a checkpoint's directory while it is being written or deleted."""
    return f".{identity}{_PARTIAL}"


def require_complete(directory: Path) -> None:
    """Refuse a directory with the name of an incomplete checkpoint: its files can look like a checkpoint of Determined.

    Raises:
        CheckpointError: The directory has such a name.
    """
    if directory.name.startswith(".") and directory.name.endswith(_PARTIAL):
        raise CheckpointError(
            "The checkpoint is incomplete: it is being written or deleted, or the process that did so has ended.",
            path=str(directory),
            hint="Name a complete one; the history of the run lists them.",
        )


def sweep(directory: Path) -> None:
    """Delete the incomplete checkpoints of ended processes from the checkpoints of a run. The caller must not be writing one there."""
    for entry in directory.glob(f".*{_PARTIAL}") if directory.is_dir() else ():
        shutil.rmtree(entry, ignore_errors=True)


def seal(directory: Path, manifest: Manifest) -> int:
    """Write the manifest, flush all files and directories to the disk (``fsync``), and return the total size in bytes.

    Raises:
        OSError: Writing failed, for example because the disk is full.
    """
    files = {path.relative_to(directory).as_posix(): _hash_and_sync(path) for path in _files_in(directory)}
    sealed = Manifest(**{name: getattr(manifest, name) for name in Manifest.__slots__ if name != "files"}, files=files)
    target = directory / MANIFEST
    target.write_text(sealed.to_json(), encoding="utf-8")
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
        data = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        version = int(data.get("format", 1))
        if version <= FORMAT:
            return _manifest(data)
    except FileNotFoundError:
        raise CheckpointError("There is no checkpoint here.", path=str(directory)) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(directory, f"The checkpoint's manifest cannot be read: {type(error).__name__}: {error}.") from None
    raise CheckpointError(
        f"A newer detjupyter wrote the checkpoint (format {version}; this version reads formats up to {FORMAT}).",
        path=str(directory),
        hint="Upgrade detjupyter.",
    )


def verify(directory: Path, manifest: Manifest) -> None:
    """Read every file and compare it with the manifest. A manifest of format 1 has no hashes, so nothing is compared.

    Raises:
        CheckpointError: A file is missing, or differs from what was written.
    """
    for path, (digest, size_bytes) in (manifest.files or {}).items():
        file = directory / path
        try:
            same_size = file.stat().st_size == size_bytes
            is_intact = same_size and hash_of(file) == digest
        except FileNotFoundError:
            raise _damaged(directory, f"The checkpoint is incomplete: {path} is missing.") from None
        except OSError as error:
            raise _damaged(directory, f"The checkpoint cannot be read: {path}: {error.strerror or error}.") from None
        if not is_intact:
            how = "its content was changed" if same_size else f"it has {file.stat().st_size:,} bytes instead of {size_bytes:,}"
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
    files = {str(path): (str(entry["sha256"]), int(entry["size_bytes"])) for path, entry in data.get("files", {}).items()}
    if any(path.startswith("/") or ".." in path.split("/") for path in files):  # a manipulated manifest must not name other files
        raise ValueError("a path leads out of the checkpoint")
    return Manifest(
        run_id=str(data.get("run_id", "")),
        batches_trained=int(data["batches_trained"]),
        records_trained=int(data["records_trained"]),
        trial_class=str(data["trial_class"]),
        entrypoint=str(data.get("entrypoint", "")),
        framework=str(data.get("framework", "")),
        file=data.get("file"),
        code=data.get("code"),
        files=files,
    )


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
