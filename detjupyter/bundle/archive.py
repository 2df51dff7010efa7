"""Pack a model definition into a reproducible `.tar.gz`: the same tree gives the same bytes on every machine.

Everything that could differ between machines is omitted, or fixed by :mod:`detjupyter.bundle.tarball`. :mod:`detjupyter.bundle.extraction`
unpacks these archives and others.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from detjupyter.bundle.extraction import extract_archive, is_archive, shown
from detjupyter.bundle.report import FileReport
from detjupyter.bundle.tarball import Tarball
from detjupyter.errors import DefinitionError
from detjupyter.next_step import NextStep

__all__ = ["ArchiveReport", "LeftOut", "extract_archive", "is_archive", "write_archive"]

_CHUNK_BYTES = 1 << 20
_NAMES = (".tar.gz", ".tgz")

_Identity = tuple[int, int] | None  # device and inode of a file


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that should ship but is not in the archive, and the reason, a phrase to follow "because"."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class ArchiveReport:
    """A packed archive.

    Attributes:
        path: The archive.
        files: The number of files in it.
        total_bytes: The size of their content.
        size_bytes: The size of the archive.
        sha256: The hash of the archive, in hex.
        bundle_hash: The hash of the tree that it unpacks to, computed as in `FileReport.hash`.
        left_out: Files that should ship but vanished, cannot be read, or are the archive itself.
    """

    path: Path
    files: int
    total_bytes: int
    size_bytes: int
    sha256: str
    bundle_hash: str
    left_out: tuple[LeftOut, ...]


def write_archive(report: FileReport, target: Path, *, oversize: bool = False) -> ArchiveReport:
    """Pack the files that ship into a `.tar.gz`; it appears at ``target`` only when it is complete.

    Args:
        report: The files of the model definition.
        target: The path of the archive, named `.tar.gz` or `.tgz`; an existing archive is replaced. It may be inside the definition: it
            never contains itself.
        oversize: Whether to allow an archive above the limit of an upload.

    Raises:
        DefinitionError: The files exceed the limit, ``target`` cannot be written or is not an archive, or a file became shorter while it
            was packed.
    """
    target = Path(os.path.realpath(target.expanduser()))  # a rename onto a link would replace the link itself
    _require_replaceable(target)
    itself = _identity(target)
    inside = itself is not None and target.is_relative_to(report.root)
    _require_within_limit(report, report.total_bytes - (target.stat().st_size if inside else 0), oversize)
    scratch = target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}.partial")
    try:
        with _create(scratch) as file:
            packed = _pack(report, Tarball(file), target, itself, oversize)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, target)  # noqa: PTH105 -- one system call, atomic also if the target exists
    except OSError as error:
        raise _write_error(error, target) from None
    finally:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
    return packed


def _pack(report: FileReport, tarball: Tarball, target: Path, itself: _Identity, oversize: bool) -> ArchiveReport:
    """Write the archive."""
    left_out: list[LeftOut] = []
    total = hashlib.sha256()
    files = total_bytes = 0
    for entry in report.included:
        try:
            opened = _Opened(report.locate(entry), itself)
        except OSError as error:
            left_out.append(LeftOut(entry.path, "it vanished" if isinstance(error, FileNotFoundError) else str(error.strerror or error)))
            continue
        with opened:
            total_bytes += opened.size_bytes
            _require_within_limit(report, total_bytes, oversize)
            name, content = os.fsencode(entry.path), hashlib.sha256()
            tarball.begin(name, opened.size_bytes, executable=opened.executable)
            for chunk in opened.chunks():
                content.update(chunk)
                tarball.write(chunk)
            for part in (name, b"x" if opened.executable else b"-", content.digest()):  # as FileReport.hash does; a test compares
                total.update(len(part).to_bytes(8, "big") + part)
        files += 1
    tarball.close()
    return ArchiveReport(target, files, total_bytes, tarball.size_bytes, tarball.sha256, total.hexdigest(), tuple(left_out))


class _Opened:
    """A file that is being packed. A file that fits into one chunk is read before its size is recorded, because it may still change."""

    def __init__(self, path: Path, archive: _Identity) -> None:
        self._path = path
        # Not blocking: a pipe may have replaced the file since the scan.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        self._file: BinaryIO = open(descriptor, "rb", buffering=0)  # noqa: PTH123, SIM115 -- closed by the caller's with
        try:
            status = os.fstat(descriptor)
            if archive == (status.st_dev, status.st_ino):
                raise OSError(errno.EINVAL, "it is the archive itself")
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "it is no longer a regular file")
            self._first = _read(self._file, _CHUNK_BYTES)
        except BaseException:
            self._file.close()
            raise
        self.executable = bool(status.st_mode & stat.S_IXUSR)
        self.size_bytes = len(self._first) if len(self._first) < _CHUNK_BYTES else max(status.st_size, _CHUNK_BYTES)

    def __enter__(self) -> _Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def chunks(self) -> Iterator[bytes]:
        """Yield exactly ``size_bytes`` of the content; bytes appended after the file was opened are not packed."""
        yield self._first
        left = self.size_bytes - len(self._first)
        while left:
            try:
                chunk = _read(self._file, min(left, _CHUNK_BYTES))
                reason = "it became shorter"
            except OSError as error:
                chunk, reason = b"", error.strerror or str(error)
            if not chunk:
                hint = "Nothing was packed. Try again when nothing writes to it, or leave it out by a line of .detignore."
                raise DefinitionError(f"A file changed while it was packed: {reason}.", path=shown(str(self._path)), hint=hint)
            yield chunk
            left -= len(chunk)


def _require_within_limit(report: FileReport, total_bytes: int, oversize: bool) -> None:
    if total_bytes > report.limit_bytes and not oversize:
        raise DefinitionError(
            f"{total_bytes:,} bytes would ship; the limit of an upload is {report.limit_bytes:,}.",
            path=str(report.root),
            hint=f"{NextStep.FILES} shows the sizes: exclude large files with a `.detignore`, or pack all with {NextStep.OVERSIZE}.",
        )


def _require_replaceable(target: Path) -> None:
    """Raise unless an archive can be written to ``target``, so that a typing error does not overwrite a file of the user."""
    if not target.name.lower().endswith(_NAMES):
        raise DefinitionError(
            f"The name of an archive must end in .tar.gz or .tgz, not {target.name!r}.",
            path=str(target),
            hint=f"Name it {target.name}.tar.gz.",
        )
    if target.is_file() and target.stat().st_size and not is_archive(target):
        hint = "Choose another name, or delete it first."
        raise DefinitionError(f"{target.name} exists and is not an archive, so it is not replaced.", path=str(target), hint=hint)


def _identity(path: Path) -> _Identity:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _create(path: Path) -> IO[bytes]:
    """Open a new file, with the mode of the user's umask."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return open(os.open(path, flags, 0o666), "wb")  # noqa: PTH123


def _write_error(error: OSError, target: Path) -> DefinitionError:
    if not target.parent.is_dir():
        message, hint = f"There is no directory {str(target.parent)!r} to write {target.name} to.", "Create it, or choose another path."
    elif target.is_dir():
        message, hint = f"{target.name} is a directory.", "Name a file, such as bundle.tar.gz."
    elif error.errno in (errno.ENOSPC, errno.EDQUOT):
        message, hint = f"The disk is full: {target.name} was not written.", "Free some space, or choose another place."
    else:
        message, hint = f"{target.name} cannot be written: {error.strerror or error}.", "Choose another place."
    return DefinitionError(message, path=str(target), hint=hint)


def _read(file: BinaryIO, size_bytes: int) -> bytes:
    """Read ``size_bytes``, fewer only at the end of the file; a raw file may return less each time."""
    pieces = []
    while size_bytes and (piece := file.read(size_bytes)):
        pieces.append(piece)
        size_bytes -= len(piece)
    return b"".join(pieces)
