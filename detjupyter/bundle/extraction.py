"""Unpacking an archive that nobody vouches for: all of it or nothing, and nothing outside of its directory."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import secrets
import shutil
import stat
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from tarfile import HeaderError, ReadError
from typing import IO, TYPE_CHECKING, Any

from detjupyter.errors import DefinitionError

if TYPE_CHECKING:
    from typing_extensions import Self

#: What an archive may unpack to, headers included, unless its reader says otherwise: ten times what an upload may hold.
LIMIT_BYTES = 1 << 30

_SUFFIXES = (".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tar.xz")
_GZIP, _BZIP2, _XZ = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00"
_CHUNK_BYTES = 1 << 20
_HEADER_LIMIT_BYTES = 1 << 20  # of one extended header: tarfile reads it into memory whole
_DAMAGE = (tarfile.TarError, EOFError, OSError, ValueError, zlib.error, lzma.LZMAError)


def is_archive(path: Path) -> bool:
    """Return whether there is a file at ``path`` that by its name and its first bytes is an archive that `extract_archive` reads."""
    if not path.name.lower().endswith(_SUFFIXES):
        return False
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError:
        return False
    return start.startswith((_GZIP, _BZIP2, _XZ)) or start[257:262] == b"ustar"


def extract_archive(archive: Path, directory: Path, *, limit_bytes: int = LIMIT_BYTES) -> list[str]:
    """Unpack an archive, ours or another's (`.tar`, `.tar.gz`, `.tar.bz2`, `.tar.xz`); all of it or nothing.

    Nothing is written outside of ``directory``, and nothing is taken over but names, contents, links inside and the owner's execute bit.

    Args:
        archive: The file.
        directory: Where to; it is made, or is there and empty.
        limit_bytes: The most that the archive may unpack to, headers included.

    Returns:
        The paths of the files and links, relative and POSIX, sorted.

    Raises:
        DefinitionError: The archive cannot be read or is damaged; ``directory`` is not empty or cannot be written; or an entry leaves the
            directory, stands there twice, is neither a file, a directory nor a link, or is too much. The message names the entry.
    """
    directory = Path(os.path.realpath(directory.expanduser()))
    scratch = directory.with_name(f".{directory.name[:200]}.{secrets.token_hex(4)}.partial")
    try:
        if directory.is_dir() and any(directory.iterdir()):
            raise DefinitionError(f"{directory.name} is not empty.", path=str(directory), hint="Unpack into a new directory.")
        scratch.mkdir(parents=True)
        unpacking = _Unpacking(archive, scratch, limit_bytes)
        unpacking.run()
        if directory.is_dir():  # kept, and not replaced: it may be somebody's working directory
            for path in list(scratch.iterdir()):
                path.rename(directory / path.name)
        else:
            scratch.rename(directory)
    except OSError as error:
        hint = "See that the disk has room and the directory may be written."
        place = str(error.filename or directory)
        raise DefinitionError(f"{archive.name} cannot be unpacked: {error.strerror or error}.", path=place, hint=hint) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return sorted(unpacking.names)


class _Unpacking:
    """One unpacking into an empty directory of our own. Links are made last, so that nothing is ever written through one."""

    def __init__(self, archive: Path, root: Path, limit_bytes: int) -> None:
        self._archive = archive
        self._root = root
        self._limit_bytes = limit_bytes
        self._total_bytes = 0
        self._symlinks: dict[str, str] = {}
        self.names: set[str] = set()

    def run(self) -> None:
        try:
            with self._archive.open("rb") as file, _decompressed(file) as content:
                source = _Source(content, self._limit_bytes)
                with tarfile.TarFile(
                    fileobj=source,  # type: ignore[arg-type]  # it has what reading needs
                    encoding="utf-8",
                    errors="surrogateescape",
                    tarinfo=_Member,
                ) as tar:
                    while (member := tar.next()) is not None:
                        tar.members = []  # type: ignore[attr-defined]  # else it keeps every one
                        self._entry(member, source)
                source.drain()
        except _TooMuchError:
            raise self._refusal(f"it unpacks to more than {self._limit_bytes:,} bytes", "") from None
        except _DAMAGE as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's, not the archive's
            reason = str(error) or "it ends too early"
            hint = "Fetch or pack it again."
            raise DefinitionError(
                f"{self._archive.name} is damaged, or no archive: {reason}.", path=str(self._archive), hint=hint
            ) from None
        self._make_symlinks()

    def _entry(self, member: tarfile.TarInfo, source: _Source) -> None:
        name = self._name(member.name)
        if name is None:
            if not member.isdir():
                raise self._refusal("it has no name", member.name)
            return
        path = self._root / name
        if member.isdir():
            self._make_directory(path, member.name)
            return
        if name in self.names or os.path.lexists(path):
            raise self._refusal("there is something of that name already", member.name)
        self.names.add(name)
        self._make_directory(path.parent, member.name)
        if member.issym():
            self._symlinks[name] = member.linkname
        elif member.islnk():
            self._copy(member, path)
        elif member.isreg() and not member.issparse():
            self._count(member.size, member.name)
            source.seek(member.offset_data)
            self._write(path, member, source.pieces(member.size))
        else:
            raise self._refusal("it is neither a file, a directory nor a link", member.name)

    def _name(self, name: str) -> str | None:
        """Return an entry's name without detours; None for the root itself."""
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/"):
            raise self._refusal("its name is absolute", name)
        if ".." in parts:
            raise self._refusal("its name leads outside", name)
        if "\0" in name:
            raise self._refusal("its name is not one that a file can have", name)
        return "/".join(parts) or None

    def _copy(self, member: tarfile.TarInfo, path: Path) -> None:
        """Write what a hard link means: the content of an earlier file."""
        name = self._name(member.linkname)
        original = self._root / (name or "")
        if name not in self.names or not original.is_file():
            raise self._refusal(f"it links to {shown(member.linkname)}, which is no earlier file of the archive", member.name)
        self._count(original.stat().st_size, member.name)
        shutil.copy(original, path)

    def _write(self, path: Path, member: tarfile.TarInfo, pieces: Iterator[bytes]) -> None:
        mode = 0o777 if member.mode & stat.S_IXUSR else 0o666
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            descriptor = os.open(path, flags, mode)
        except OSError as error:
            raise self._refusal(error.strerror or str(error), member.name) from None
        with open(descriptor, "wb") as file:  # noqa: PTH123
            file.writelines(pieces)

    def _make_directory(self, path: Path, name: str) -> None:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:  # a file stands in the way, or the name is too long
            raise self._refusal(error.strerror or str(error), name) from None

    def _make_symlinks(self) -> None:
        for name, goal in self._symlinks.items():
            path = self._root / name
            if os.path.lexists(path):
                raise self._refusal("there is something of that name already", name)
            if not goal or goal.startswith("/") or "\0" in goal:
                raise self._refusal(f"it links to {shown(goal)}, outside of the archive", name)
            path.symlink_to(goal)
        for name, goal in self._symlinks.items():  # when all are there: a link may lead on to others
            if not Path(os.path.realpath(self._root / name)).is_relative_to(self._root):
                raise self._refusal(f"it links to {shown(goal)}, outside of the archive", name)

    def _count(self, size_bytes: int, name: str) -> None:
        self._total_bytes += size_bytes
        if self._total_bytes > self._limit_bytes:
            raise self._refusal(f"with it the archive unpacks to more than {self._limit_bytes:,} bytes", name)

    def _refusal(self, reason: str, name: str) -> DefinitionError:
        return DefinitionError(
            f"{self._archive.name} was not unpacked: {f'the entry {shown(name)} is refused, ' if name else ''}{reason}.",
            path=str(self._archive),
            hint="Look into it with `tar -tvf`; unpack only what you trust.",
        )


class _TooMuchError(Exception):
    """The archive unpacks to more than it may."""


class _Source:
    """What tarfile reads from: the unpacked stream, forward only, and never more of it than there may be."""

    def __init__(self, content: IO[bytes], limit_bytes: int) -> None:
        self._content = content
        self._limit_bytes = limit_bytes
        self._position = 0

    def tell(self) -> int:
        return self._position

    def read(self, size_bytes: int) -> bytes:
        if not 0 <= size_bytes <= _HEADER_LIMIT_BYTES:
            raise ReadError(f"a header says that it is {size_bytes:,} bytes long")
        return self._take(size_bytes)

    def seek(self, position: int) -> None:
        if position < self._position:
            raise ReadError("a header points backwards")
        for _ in self.pieces(position - self._position):
            pass

    def pieces(self, size_bytes: int) -> Iterator[bytes]:
        """Yield the next ``size_bytes``."""
        while size_bytes > 0:
            piece = self._take(min(size_bytes, _CHUNK_BYTES))
            if not piece:
                raise ReadError("it ends too early")
            size_bytes -= len(piece)
            yield piece

    def drain(self) -> None:
        """Read what is left: a checksum stands at the end of a compressed stream."""
        while self._take(_CHUNK_BYTES):
            pass

    def _take(self, size_bytes: int) -> bytes:
        data = self._content.read(size_bytes)
        self._position += len(data)
        if self._position > self._limit_bytes:
            raise _TooMuchError
        return data


class _Member(tarfile.TarInfo):
    """An entry; tarfile takes a header that is damaged for the end of the archive, unless it is the first."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile)
        except HeaderError as error:
            if type(error).__name__ in ("EOFHeaderError", "EmptyHeaderError"):  # that is how it says that the end is reached
                raise
            raise ReadError(f"{error} at byte {tarfile.offset:,}") from None


def _decompressed(file: IO[bytes]) -> Any:  # Any: four classes of the standard library that have little of a type in common
    """Return a file that reads what ``file`` holds, unpacked."""
    start = file.read(6)
    file.seek(0)
    if start.startswith(_GZIP):
        return gzip.GzipFile(fileobj=file)
    if start.startswith(_BZIP2):
        return bz2.BZ2File(file)
    return lzma.LZMAFile(file) if start.startswith(_XZ) else file


def shown(name: str) -> str:
    """Return a name of an archive or a disk as a sentence can hold it: it may have line breaks, or bytes that are no text."""
    short = name if len(name) <= 200 else f"{name[:200]}…"
    return short if short.isprintable() else repr(short)
