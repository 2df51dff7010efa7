"""Unpack an untrusted archive: completely or not at all, and never outside of its directory.

`tarfile` reads the archive, and its ``data`` filter checks every entry by the rules of the platform. The filter alone is not enough. It
repairs entries that should be refused: a leading ``/`` is dropped, ``a/../b`` becomes ``b``, a second file of the same name replaces the
first. It sets no limit on the unpacked size. Before Python 3.11.13, 3.12.11 and 3.13.4, a chain of links bypasses it (CVE-2025-4517).
"""

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
from contextlib import contextmanager, suppress
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import IO, Any, cast

from detjupyter.errors import DefinitionError

#: The default limit on the unpacked size of an archive, headers included: ten times the limit of an upload.
LIMIT_BYTES = 1 << 30
#: The default limit on the number of entries and directories of an archive: creating so many takes about half a minute.
LIMIT_ENTRIES = 100_000

_SUFFIXES = (".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tar.xz")
_GZIP, _BZIP2, _XZ = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00"
_CHUNK_BYTES = 1 << 20
_HEADER_LIMIT_BYTES = 1 << 20  # of one extended header: tarfile reads it into memory completely
_MOST_LEVELS = 256  # of directories: Python creates and removes them recursively
# RecursionError: tarfile reads extended headers that follow each other recursively.
_DAMAGE = (tarfile.TarError, EOFError, OSError, ValueError, RecursionError, zlib.error, lzma.LZMAError)


def is_archive(path: Path) -> bool:
    """Return whether ``path`` is a file whose name and first bytes are those of an archive that `extract_archive` reads."""
    if not path.name.lower().endswith(_SUFFIXES):
        return False
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError:
        return False
    return start.startswith((_GZIP, _BZIP2, _XZ)) or start[257:262] == b"ustar"


def extract_archive(archive: Path, directory: Path, *, limit_bytes: int = LIMIT_BYTES, limit_entries: int = LIMIT_ENTRIES) -> list[str]:
    """Unpack an archive of detjupyter or of another tool (`.tar`, `.tar.gz`, `.tar.bz2`, `.tar.xz`), completely or not at all.

    Nothing is written outside of ``directory``. Only names, contents, links inside the archive and the owner's execute bit are unpacked.

    Args:
        archive: The file.
        directory: The target directory; it is created, or it exists and is empty.
        limit_bytes: The limit on the unpacked size, headers included.
        limit_entries: The limit on the number of entries, and of directories that are created for them.

    Returns:
        The paths of the files and links, relative and POSIX, sorted.

    Raises:
        DefinitionError: The archive cannot be read or is damaged; ``directory`` is not empty or cannot be written; or an entry leads
            outside of the directory, occurs twice, is not a file, a directory or a link, or exceeds a limit. The message names the entry.
    """
    directory = Path(os.path.realpath(directory.expanduser()))
    scratch = directory.with_name(f".{directory.name[:200]}.{secrets.token_hex(4)}.partial")
    try:
        if directory.is_dir() and any(directory.iterdir()):
            raise DefinitionError(f"{directory.name} is not empty.", path=str(directory), hint="Unpack into a new directory.")
        scratch.mkdir(parents=True)
        unpacking = _Unpacking(archive, scratch, limit_bytes, limit_entries)
        unpacking.run()
        if directory.is_dir():  # filled, not replaced: it may be the working directory of a process
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
    """Unpack one archive into an empty private directory. Links are created last, so that nothing is ever written through a link."""

    def __init__(self, archive: Path, root: Path, limit_bytes: int, limit_entries: int) -> None:
        self._archive = archive
        self._root = root
        self._limit_bytes = limit_bytes
        self._limit_entries = limit_entries
        self._total_bytes = 0
        self._total_entries = 0
        self._symlinks: dict[str, str] = {}
        self.names: set[str] = set()

    def run(self) -> None:
        try:
            with self._archive.open("rb") as file, _decompressed(file) as content:
                source = _Source(content, self._limit_bytes)
                readable = cast("IO[bytes]", source)  # it has the methods that tarfile needs to read forward
                with tarfile.TarFile(fileobj=readable, encoding="utf-8", errors="surrogateescape") as tar:
                    while (member := tar.next()) is not None:
                        tar.members = []  # type: ignore[attr-defined]  # otherwise tarfile keeps all members in memory
                        self._entry(member, source)
                source.finish()
        except _TooMuchError:
            raise self._refusal(f"it unpacks to more than {self._limit_bytes:,} bytes", "") from None
        except _DAMAGE as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # an error of the disk, not of the archive
            reason = str(error) or "it ends too early"
            hint = "Fetch or pack it again."
            raise DefinitionError(
                f"{self._archive.name} is damaged or not an archive: {reason}.", path=str(self._archive), hint=hint
            ) from None
        self._make_symlinks()

    def _entry(self, member: tarfile.TarInfo, source: _Source) -> None:
        name = self._name(member.name)
        self._filter(member)
        path = self._root / name
        directory = path if member.isdir() else path.parent
        missing = list(takewhile(lambda place: not place.is_dir(), (directory, *directory.parents)))
        self._count_entries(len(missing) if member.isdir() and missing else 1 + len(missing), member.name)
        with self._refusing(member.name):
            for place in reversed(missing):
                place.mkdir()
        if member.isdir():
            return
        if name in self.names or os.path.lexists(path):
            raise self._refusal("the name occurs twice", member.name)
        self.names.add(name)
        if member.issym():
            self._symlinks[name] = member.linkname
        elif member.islnk():
            self._copy(member, path)
        else:
            self._write(member, path, source)

    def _name(self, name: str) -> str:
        """Return the normalized name of an entry, empty for the root; refuse the entry if the name could lead outside."""
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/"):
            raise self._refusal("its name is absolute", name)
        if ".." in parts:
            raise self._refusal("its name leads outside", name)
        if len(parts) > _MOST_LEVELS:
            raise self._refusal(f"it is in more than {_MOST_LEVELS} directories", name)
        return "/".join(parts)

    def _filter(self, member: tarfile.TarInfo) -> None:
        """Refuse entries that the ``data`` filter refuses, and sparse files: a few bytes can expand to any size."""
        try:
            if member.issparse():
                raise tarfile.SpecialFileError(member)
            with self._refusing(member.name):
                tarfile.data_filter(member, str(self._root))
        except tarfile.SpecialFileError:
            raise self._refusal("it is not a file, a directory or a link", member.name) from None
        except tarfile.FilterError:
            is_link = member.issym() or member.islnk()
            reason = f"it links to {shown(member.linkname)}, outside of the archive" if is_link else "its name leads outside"
            raise self._refusal(reason, member.name) from None

    def _copy(self, member: tarfile.TarInfo, path: Path) -> None:
        """Write the content of a hard link: that of an earlier file."""
        name = self._name(member.linkname)
        original = self._root / name
        if name not in self.names or not original.is_file():
            raise self._refusal(f"it links to {shown(member.linkname)}, which is not an earlier file of the archive", member.name)
        self._count(original.stat().st_size, member.name)
        shutil.copy(original, path)

    def _write(self, member: tarfile.TarInfo, path: Path, source: _Source) -> None:
        self._count(member.size, member.name)
        mode = 0o777 if member.mode & stat.S_IXUSR else 0o666
        with self._refusing(member.name):
            file = open(path, "xb", opener=partial(os.open, mode=mode))  # noqa: SIM115
        with file:
            source.seek(member.offset_data)
            file.writelines(source.pieces(member.size))

    def _make_symlinks(self) -> None:
        for name, goal in self._symlinks.items():
            with self._refusing(name):
                (self._root / name).symlink_to(goal)
        for name, goal in self._symlinks.items():  # checked when all exist: a link may lead to other links
            with self._refusing(name), suppress(FileNotFoundError, NotADirectoryError):
                (self._root / name).stat()  # raises for more links than the system follows, as in a loop
            if not Path(os.path.realpath(self._root / name)).is_relative_to(self._root):
                raise self._refusal(f"it links to {shown(goal)}, outside of the archive", name)

    def _count(self, size_bytes: int, name: str) -> None:
        self._total_bytes += size_bytes
        if size_bytes < 0 or self._total_bytes > self._limit_bytes:  # an extended header can contain a negative size
            raise self._refusal(f"with it the archive unpacks to more than {self._limit_bytes:,} bytes", name)

    def _count_entries(self, entries: int, name: str) -> None:
        self._total_entries += entries
        if self._total_entries > self._limit_entries:
            raise self._refusal(f"with it the archive has more than {self._limit_entries:,} files and directories", name)

    @contextmanager
    def _refusing(self, name: str) -> Iterator[None]:
        """Refuse the entry if the disk rejects its name: it is too long, contains a null byte, or already exists."""
        try:
            yield
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise self._refusal(reason or str(error), name) from None

    def _refusal(self, reason: str, name: str) -> DefinitionError:
        return DefinitionError(
            f"{self._archive.name} was not unpacked: {f'the entry {shown(name)} is refused, ' if name else ''}{reason}.",
            path=str(self._archive),
            hint="Look into it with `tar -tvf`; unpack only what you trust.",
        )


class _TooMuchError(Exception):
    """The unpacked size of the archive exceeds the limit."""


class _Source:
    """The stream that tarfile reads: uncompressed, forward only, and never beyond the limit."""

    def __init__(self, content: IO[bytes], limit_bytes: int) -> None:
        self._content = content
        self._limit_bytes = limit_bytes
        self._position = 0
        self._last = b""

    def tell(self) -> int:
        return self._position

    def read(self, size_bytes: int) -> bytes:
        if not 0 <= size_bytes <= _HEADER_LIMIT_BYTES:
            raise tarfile.ReadError(f"a header says that it is {size_bytes:,} bytes long")
        self._last = self._take(size_bytes)
        return self._last

    def seek(self, position: int) -> None:
        if position < self._position:
            raise tarfile.ReadError("a header points backwards")
        for _ in self.pieces(position - self._position):
            pass

    def pieces(self, size_bytes: int) -> Iterator[bytes]:
        """Yield the next ``size_bytes``."""
        while size_bytes > 0:
            piece = self._take(min(size_bytes, _CHUNK_BYTES))
            if not piece:
                raise tarfile.ReadError("it ends too early")
            size_bytes -= len(piece)
            yield piece

    def finish(self) -> None:
        """Read the rest, which verifies the checksum of a compressed stream. Raise if tarfile stopped anywhere but at the end mark."""
        if not self._last:  # an archive ends with blocks of zeros; tarfile also accepts one that was cut between two entries
            raise tarfile.ReadError("it is incomplete, its end is missing")
        if self._last.strip(b"\0"):
            raise tarfile.ReadError(f"the header before byte {self._position:,} is broken")
        while self._take(_CHUNK_BYTES):
            pass

    def _take(self, size_bytes: int) -> bytes:
        data = self._content.read(size_bytes)
        self._position += len(data)
        if self._position > self._limit_bytes:
            raise _TooMuchError
        return data


def _decompressed(file: IO[bytes]) -> Any:  # Any: four classes of the standard library without a common type
    """Return a file that reads the decompressed content of ``file``."""
    start = file.read(6)
    file.seek(0)
    if start.startswith(_GZIP):
        return gzip.GzipFile(fileobj=file)
    if start.startswith(_BZIP2):
        return bz2.BZ2File(file)
    return lzma.LZMAFile(file) if start.startswith(_XZ) else file


def shown(name: str) -> str:
    """Return a file name in a form for messages: it may contain line breaks, or bytes that are not text."""
    short = name if len(name) <= 200 else f"{name[:200]}…"
    return short if short.isprintable() else repr(short)
