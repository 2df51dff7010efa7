"""The code that runs were trained with: an archive of every bundle, in which each content is stored once.

Below ``<home>/code`` there is one compressed file for each content, named by its SHA-256 (``objects/ab/cdef…``), and one list of files for
each bundle (``snapshots/<bundle hash>.json``). Both are written to a temporary file and renamed, the list last. So any number of processes
can store code at once, and a killed process leaves at most a content that no list names. Deleting a run deletes neither, because another
run may have the same code, and code is small.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from detjupyter.errors import CodeNotKeptError, StoreError
from detjupyter.store.code_diff import CodeDiff, FileVersion, diff_code
from detjupyter.store.location import create_directory, create_file

FILE_LIMIT_BYTES = 1 << 20
"""Of a larger file only the name, the size and the hash are stored."""
BUNDLE_LIMIT_BYTES = 64 << 20
"""Of a larger bundle, code and small files are stored; of the other files only names, sizes and hashes."""
BUNDLE_LIMIT_FILES = 20_000

_FORMAT = 1
_CODE_SUFFIXES = frozenset((".py", ".yaml", ".yml", ".toml", ".json", ".sh", ".cfg", ".ini", ".md", ".ipynb"))
_NAME = re.compile(r"[0-9A-Za-z_-]{1,128}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class CodeSource:
    """A file of a bundle to store.

    Attributes:
        path: The path in the bundle, POSIX.
        executable: Whether its owner may execute it.
        size_bytes: Its size.
        source: Its path, or its content: an imported module may have been edited since.
    """

    path: str
    executable: bool
    size_bytes: int
    source: Path | bytes


class CodeStore:
    """The code archives below ``home``; directories are created when the first code is stored.

    Thread: any; and any process.
    """

    def __init__(self, home: Path) -> None:
        self._objects = home / "code" / "objects"
        self._lists = home / "code" / "snapshots"

    def has(self, bundle_hash: str) -> bool:
        """Return whether the code of that bundle is stored."""
        return self._list_of(bundle_hash).is_file()

    def keep(self, bundle_hash: str, files: Iterable[CodeSource]) -> None:
        """Store the code of a bundle, unless it is already stored.

        A file that cannot be read is listed as such. Contents that were deleted since are stored again if ``files`` still contain them.

        Raises:
            StoreError: The code cannot be written.
        """
        listing = self._list_of(bundle_hash)
        kept_bytes = kept_files = 0
        versions = []
        try:
            if listing.is_file():
                self._repair(listing, files)
                return
            for file in sorted(files, key=_importance):
                room = BUNDLE_LIMIT_BYTES - kept_bytes if kept_files < BUNDLE_LIMIT_FILES else -1
                version = self._keep_file(file, min(room, FILE_LIMIT_BYTES))
                if version.kept:
                    kept_bytes += version.size_bytes
                    kept_files += 1
                versions.append(version)
            _write(listing, _listing(versions))
        except OSError as error:
            hint = "Free some space, or set DETJUPYTER_HOME to a writable directory. Training continues without it."
            raise StoreError(f"The code of this run cannot be stored: {error.strerror or error}.", path=str(listing), hint=hint) from None

    def code(self, bundle_hash: str, keep_again: Callable[[], object] | None = None) -> Code:
        """Return the code of a bundle.

        Args:
            bundle_hash: The hash of the bundle.
            keep_again: Called when a content no longer exists; it may :meth:`keep` the bundle again.

        Raises:
            StoreError: The code was not stored, or its list is damaged.
        """
        listing = self._list_of(bundle_hash)
        try:
            return Code(bundle_hash, _versions(listing.read_bytes()), self._objects, keep_again)
        except FileNotFoundError:
            hint = "Code is kept with the first batch of a run; older runs, and those of a disk that was full, have none."
            raise StoreError(f"The code {bundle_hash[:12]!r} was not stored.", path=str(listing), hint=hint) from None
        except OSError as error:
            raise StoreError(f"The code cannot be read: {error.strerror or error}.", path=str(listing)) from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise StoreError("The list of the files of this code is damaged.", path=str(listing), hint=_DELETE_LIST) from None

    def _repair(self, listing: Path, files: Iterable[CodeSource]) -> None:
        """Store missing contents of the list again, unless the content of the file in ``files`` has changed."""
        try:
            versions = _versions(listing.read_bytes())
        except (ValueError, KeyError, TypeError, AttributeError):
            return  # reading the code reports the damage
        kept = {version.path: version.sha256 for version in versions if version.sha256 and version.kept}
        lost = {path: digest for path, digest in kept.items() if not _is_written(_place(self._objects, digest))}
        for file in files if lost else ():
            if file.path in lost:
                with suppress(FileNotFoundError):
                    content, _, digest = _read(file.source, FILE_LIMIT_BYTES)
                    if content is not None and digest == lost[file.path]:
                        _write(_place(self._objects, digest), zlib.compress(content))

    def _list_of(self, bundle_hash: str) -> Path:
        if not _NAME.fullmatch(bundle_hash):
            raise StoreError(f"{bundle_hash!r} is not the hash of a bundle.", hint="It is 64 hexadecimal digits: `run.record.bundle_hash`.")
        return self._lists / f"{bundle_hash}.json"

    def _keep_file(self, file: CodeSource, limit_bytes: int) -> FileVersion:
        """Store one file if it is not larger than ``limit_bytes``, and return its entry for the list."""
        try:
            content, size_bytes, digest = _read(file.source, limit_bytes)
        except OSError:
            return FileVersion(file.path, file.executable, file.size_bytes, None, kept=False)
        if content is not None:
            place = _place(self._objects, digest)
            if not _is_written(place):
                _write(place, zlib.compress(content))
        return FileVersion(file.path, file.executable, size_bytes, digest, kept=content is not None)


_DELETE_LIST = "Delete that file; the next run with this code stores it again."


class Code(Mapping[str, bytes]):
    """The files of one bundle: a mapping of paths to contents, for the files whose content is stored.

    Attributes:
        bundle_hash: The hash of the bundle.
    """

    def __init__(
        self, bundle_hash: str, versions: Iterable[FileVersion], objects: Path, keep_again: Callable[[], object] | None = None
    ) -> None:
        self.bundle_hash = bundle_hash
        self._keep_again = keep_again
        self._versions = {version.path: version for version in versions}
        self._objects = objects

    def __repr__(self) -> str:
        kept = len(self)
        rest = f", {len(self._versions) - kept:,} by hash only" if kept < len(self._versions) else ""
        return f"<Code {self.bundle_hash[:12]}: {kept:,} {'file' if kept == 1 else 'files'}{rest}>"

    @property
    def paths(self) -> tuple[str, ...]:
        """All paths of the bundle, sorted, including those without a stored content."""
        return tuple(self._versions)

    @property
    def versions(self) -> tuple[FileVersion, ...]:
        """The size and hash of every path, and whether the content is stored."""
        return tuple(self._versions.values())

    def __getitem__(self, path: str) -> bytes:
        version = self._versions.get(path)
        if version is None:
            raise CodeNotKeptError(f"This code has no file {path!r}.", file=path, hint="`.paths` lists its files.")
        if not version.kept or version.sha256 is None:
            how = f"only its size ({version.size_bytes:,} bytes) and hash were" if version.sha256 else "it could not be read"
            hint = f"Files up to {FILE_LIMIT_BYTES:,} bytes are kept, up to {BUNDLE_LIMIT_BYTES:,} in all."
            raise CodeNotKeptError(f"The content of {path!r} was not stored; {how}.", file=path, hint=hint)
        place = _place(self._objects, version.sha256)
        if self._keep_again is not None and not _is_written(place):
            self._keep_again()
        try:
            content = zlib.decompress(place.read_bytes())
        except OSError as error:
            raise StoreError(f"The content of {path!r} cannot be read: {error.strerror or error}.", path=str(place)) from None
        except zlib.error:
            content = b""
        if hashlib.sha256(content).hexdigest() != version.sha256:
            hint = "Delete that file; it is kept again with the next new version of the code."
            raise StoreError(f"The content of {path!r} is damaged.", path=str(place), hint=hint)
        return content

    def __iter__(self) -> Iterator[str]:
        return (version.path for version in self._versions.values() if version.kept)

    def __len__(self) -> int:
        return sum(version.kept for version in self._versions.values())

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and path in self._versions and self._versions[path].kept

    def write(self, directory: str | Path) -> tuple[str, ...]:
        """Write the files into an empty or new directory; return the paths whose content is not stored.

        Raises:
            StoreError: The directory is not empty, cannot be written, or a content is damaged.
        """
        root = Path(directory).expanduser().absolute()
        try:
            if root.is_dir() and any(root.iterdir()):
                raise StoreError(f"{root.name} is not empty.", path=str(root), hint="Name a new directory.")
            root.mkdir(parents=True, exist_ok=True)
            for version in self._versions.values():
                if version.kept:
                    target = root / version.path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(self[version.path])
                    if version.executable:
                        target.chmod(target.stat().st_mode | stat.S_IXUSR)
        except OSError as error:
            raise StoreError(
                f"The code cannot be written: {error.strerror or error}.", path=str(root), hint="Choose another place."
            ) from None
        return tuple(version.path for version in self._versions.values() if not version.kept)

    def diff(self, other: Code) -> CodeDiff:
        """Return the changes from this code to ``other``.

        Raises:
            StoreError: A content is damaged.
        """
        return diff_code(self.versions, other.versions, self.__getitem__, other.__getitem__)


def _importance(file: CodeSource) -> tuple[bool, int, str]:
    """Return a sort key that puts the most important files first: code and configuration, then small files."""
    return os.path.splitext(file.path)[1] not in _CODE_SUFFIXES, file.size_bytes, file.path  # noqa: PTH122 -- 100,000 of them


def _read(source: Path | bytes, limit_bytes: int) -> tuple[bytes | None, int, str]:
    """Return the content, its size and its hash. A content larger than the limit is None and never loaded into memory completely."""
    if isinstance(source, bytes):
        return source if len(source) <= limit_bytes else None, len(source), hashlib.sha256(source).hexdigest()
    # Not blocking: a pipe may have replaced the file since the scan.
    descriptor = os.open(source, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with cast("BinaryIO", open(descriptor, "rb")) as file:  # noqa: PTH123
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("not a regular file")
        first = file.read(max(limit_bytes, 0) + 1)
        digest, size_bytes = hashlib.sha256(first), len(first)
        if size_bytes <= limit_bytes:
            return first, size_bytes, digest.hexdigest()
        del first
        while chunk := file.read(FILE_LIMIT_BYTES):
            digest.update(chunk)
            size_bytes += len(chunk)
    return None, size_bytes, digest.hexdigest()


def _place(objects: Path, digest: str) -> Path:
    return objects / digest[:2] / digest[2:]


def _is_written(path: Path) -> bool:
    try:
        return path.stat().st_size > 0  # a loss of power may leave an empty file
    except FileNotFoundError:
        return False


def _write(path: Path, content: bytes) -> None:
    """Write a file that appears only when it is complete."""
    create_directory(path.parent)
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with create_file(scratch) as file:
            file.write(content)
        scratch.replace(path)
    except BaseException:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
        raise


def _listing(versions: Iterable[FileVersion]) -> bytes:
    rows = [[one.path, one.executable, one.size_bytes, one.sha256, one.kept] for one in sorted(versions, key=lambda one: one.path)]
    return json.dumps({"format": _FORMAT, "files": rows}, separators=(",", ":")).encode()


def _versions(content: bytes) -> list[FileVersion]:
    """Parse a list of files.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: The list is damaged, or has a newer version.
    """
    data = json.loads(content)
    if data["format"] != _FORMAT:
        raise ValueError("unknown version")
    versions = []
    for path, executable, size_bytes, digest, kept in data["files"]:
        if path.startswith("/") or ".." in path.split("/") or not (digest is None or _SHA256.fullmatch(digest)):
            raise ValueError("a path that leads outside, or an invalid hash")
        versions.append(FileVersion(path, bool(executable), int(size_bytes), digest, kept=bool(kept)))
    return versions
