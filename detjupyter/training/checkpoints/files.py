"""The directory of a checkpoint: its manifest, and whether it holds what the manifest says.

A directory is written under a name that begins with a dot and ends with ``.partial``, and renamed when it is complete: whatever has that
name is of a process that died, and belongs to nobody.
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

MANIFEST = "detjupyter.json"
FORMAT = 2
"""1 had no hashes and nothing about the code."""

_PARTIAL = ".partial"
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a complete checkpoint says of itself.

    Attributes:
        run_id: The run that it is of.
        batches_trained: Where the trial stood.
        records_trained: The same in records.
        trial_class: The name of the trial's class.
        entrypoint: What the class was loaded by, empty before format 2.
        framework: The framework of the class, empty before format 2.
        file: The name of the definition's only file, None if it is a directory.
        code: The hash of the bundle whose files are in ``code/``, None if they are not.
        files: SHA-256 and size of every file by its path (POSIX); empty before format 2.
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
        """Return the manifest as text."""
        files = {path: {"sha256": digest, "size_bytes": size} for path, (digest, size) in (self.files or {}).items()}
        fields = {name: getattr(self, name) for name in self.__slots__ if name != "files"}
        return json.dumps({"format": FORMAT, **fields, "files": files}, indent=1)


def partial_name(identity: str) -> str:
    """Return the name of a checkpoint's directory while it is written, or while it is deleted."""
    return f".{identity}{_PARTIAL}"


def sweep(directory: Path) -> None:
    """Delete what processes that died left in a run's directory of checkpoints; whoever calls this is writing nothing there."""
    for entry in directory.glob(f".*{_PARTIAL}") if directory.is_dir() else ():
        shutil.rmtree(entry, ignore_errors=True)


def seal(directory: Path, manifest: Manifest) -> int:
    """Bring every file in ``directory`` to the disk and write the manifest beside them; return the bytes of all.

    Raises:
        OSError: The disk does not take it.
    """
    files = {path.relative_to(directory).as_posix(): _hash_and_sync(path) for path in _files_in(directory)}
    sealed = Manifest(**{name: getattr(manifest, name) for name in Manifest.__slots__ if name != "files"}, files=files)
    target = directory / MANIFEST
    target.write_text(sealed.to_json(), encoding="utf-8")
    _, size_bytes = _hash_and_sync(target)
    for folder in sorted((path for path in directory.rglob("*") if path.is_dir()), reverse=True):
        sync_directory(folder)
    sync_directory(directory)
    return size_bytes + sum(size for _, size in files.values())


def read_manifest(directory: Path) -> Manifest:
    """Return the manifest of a checkpoint.

    Raises:
        CheckpointError: There is none, it cannot be read, or it is of a version that is not known yet.
    """
    try:
        data = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        version = int(data.get("format", 1))
        if version <= FORMAT:
            return _manifest(data)
    except FileNotFoundError:
        raise CheckpointError("There is no checkpoint here.", path=str(directory)) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _torn(directory, f"The checkpoint's manifest cannot be read: {type(error).__name__}: {error}.") from None
    raise CheckpointError(
        f"The checkpoint was written by a newer detjupyter (its format is {version}, this one knows {FORMAT}).",
        path=str(directory),
        hint="Upgrade detjupyter.",
    )


def verify(directory: Path, manifest: Manifest) -> None:
    """Read every file and compare it with the manifest; one of format 1 says nothing that could be compared.

    Raises:
        CheckpointError: A file is missing or is not what was written.
    """
    for path, (digest, size_bytes) in (manifest.files or {}).items():
        file = directory / path
        try:
            same_size = file.stat().st_size == size_bytes
            whole = same_size and hash_of(file) == digest
        except FileNotFoundError:
            raise _torn(directory, f"The checkpoint is torn: {path} is missing.") from None
        except OSError as error:
            raise _torn(directory, f"The checkpoint cannot be read: {path}: {error.strerror or error}.") from None
        if not whole:
            how = "its bytes were changed" if same_size else f"it has {file.stat().st_size:,} bytes, not {size_bytes:,}"
            raise _torn(directory, f"The checkpoint is damaged: {path} is not what was written, {how}.")


def earlier_than(directory: Path) -> Path | None:
    """Return the newest complete checkpoint beside ``directory`` that is older than it; else the newest of the others."""
    found = []
    for other in directory.parent.iterdir() if directory.parent.is_dir() else ():
        if other == directory or other.name.startswith(".") or not (other / MANIFEST).is_file():
            continue
        try:
            manifest = read_manifest(other)
            if all((other / path).stat().st_size == size for path, (_, size) in (manifest.files or {}).items()):
                found.append((manifest.batches_trained, other.name, other))
        except (CheckpointError, OSError):
            continue
    batches = _batches_in_name(directory)
    before = [one for one in found if batches is None or one[0] <= batches]
    return max(before or found)[2] if found else None


def hash_of(path: Path) -> str:
    """Return a file's SHA-256, in pieces that leave the interpreter to other threads."""
    with path.open("rb") as file:
        return _digest(iter(lambda: file.read(_PIECE_BYTES), b""))


def sync_directory(directory: Path) -> None:
    """Bring the names in a directory to the disk, where the system can."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except (PermissionError, IsADirectoryError):  # Windows opens no directories, and needs no such thing
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
    files = {str(path): (str(one["sha256"]), int(one["size_bytes"])) for path, one in data.get("files", {}).items()}
    if any(path.startswith("/") or ".." in path.split("/") for path in files):
        raise ValueError("a path leads outside")
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


def _torn(directory: Path, message: str) -> CheckpointError:
    earlier = earlier_than(directory)
    hint = f"`%det_restore {earlier.name}` goes back to the complete one before it." if earlier else "There is no other one of this run."
    return CheckpointError(message, path=str(directory), hint=hint)


def _batches_in_name(directory: Path) -> int | None:
    """Return the number of batches in a checkpoint's name, whose manifest may be what is torn."""
    parts = directory.name.split("-")
    return int(parts[-2]) if len(parts) > 1 and parts[-2].isdecimal() else None
