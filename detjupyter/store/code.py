"""The code that runs were trained with: a snapshot of every bundle, each content kept once.

Below ``<home>/code`` there is one file for each content, compressed, under its SHA-256 (``objects/ab/cdef…``), and one list of names for
each bundle (``snapshots/<bundle hash>.json``). Both are written beside and renamed, the list last, so that any number of processes may
keep code at once and a killed one leaves at most a content that no list names. Deleting a run deletes neither: another run may be of the
same code, and what is kept is small.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import stat
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from detjupyter.errors import CodeNotKeptError, StoreError
from detjupyter.store.code_diff import CodeDiff, FileVersion, diff_code

FILE_LIMIT_BYTES = 1 << 20
"""A larger file is kept by its name, size and hash only."""
SNAPSHOT_LIMIT_BYTES = 64 << 20
"""Of a bundle with more than this, code and small files are kept, the rest by name, size and hash."""
SNAPSHOT_LIMIT_FILES = 20_000

_FORMAT = 1
_CODE_SUFFIXES = frozenset((".py", ".yaml", ".yml", ".toml", ".json", ".sh", ".cfg", ".ini", ".md", ".ipynb"))
_NAME = re.compile(r"[0-9A-Za-z_-]{1,128}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class CodeSource:
    """A file of a bundle, to be kept.

    Attributes:
        path: In the bundle, POSIX.
        executable: Whether its owner may execute it.
        size_bytes: Its size.
        source: Where it stands, or what it held: a module that was imported may have been edited since.
    """

    path: str
    executable: bool
    size_bytes: int
    source: Path | bytes


class CodeStore:
    """The snapshots below ``home``; nothing is made before something is kept.

    Thread: any; and any process.
    """

    def __init__(self, home: Path) -> None:
        self._objects = home / "code" / "objects"
        self._snapshots = home / "code" / "snapshots"

    def has(self, bundle_hash: str) -> bool:
        """Return whether there is a snapshot of that bundle."""
        return self._list_of(bundle_hash).is_file()

    def keep(self, bundle_hash: str, files: Iterable[CodeSource]) -> None:
        """Keep the code of a bundle; of one that is kept already ``files`` are not even looked at.

        A file that cannot be read is listed as such.

        Raises:
            StoreError: The disk does not take it.
        """
        listing = self._list_of(bundle_hash)
        if listing.is_file():
            return
        kept_bytes = kept_files = 0
        versions = []
        try:
            for file in sorted(files, key=_importance):
                room = SNAPSHOT_LIMIT_BYTES - kept_bytes if kept_files < SNAPSHOT_LIMIT_FILES else -1
                version = self._keep_file(file, min(room, FILE_LIMIT_BYTES))
                if version.kept:
                    kept_bytes += version.size_bytes
                    kept_files += 1
                versions.append(version)
            _write(listing, _listing(versions))
        except OSError as error:
            hint = "Free some space, or set DETJUPYTER_HOME to a place that can be written; the training goes on without."
            raise StoreError(f"The code of this run cannot be kept: {error.strerror or error}.", path=str(listing), hint=hint) from None

    def code(self, bundle_hash: str) -> Code:
        """Return the code of a bundle.

        Raises:
            StoreError: It was not kept, or its list is damaged.
        """
        listing = self._list_of(bundle_hash)
        try:
            return Code(bundle_hash, _versions(listing.read_bytes()), self._objects)
        except FileNotFoundError:
            hint = "Code is kept with the first batch of a run; older runs, and those of a disk that was full, have none."
            raise StoreError(f"The code {bundle_hash[:12]!r} was not kept.", path=str(listing), hint=hint) from None
        except OSError as error:
            raise StoreError(f"The code cannot be read: {error.strerror or error}.", path=str(listing)) from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise StoreError("The list of this code's files is damaged.", path=str(listing), hint=_DELETE_LIST) from None

    def _list_of(self, bundle_hash: str) -> Path:
        if not _NAME.fullmatch(bundle_hash):
            raise StoreError(f"{bundle_hash!r} is not the hash of a bundle.", hint="It is 64 hexadecimal digits: `run.record.bundle_hash`.")
        return self._snapshots / f"{bundle_hash}.json"

    def _keep_file(self, file: CodeSource, limit_bytes: int) -> FileVersion:
        """Keep one file if it is not larger than ``limit_bytes``, and return what the list says of it."""
        try:
            content, size_bytes, digest = _read(file.source, limit_bytes)
        except OSError:
            return FileVersion(file.path, file.executable, file.size_bytes, None, kept=False)
        if content is not None:
            place = _place(self._objects, digest)
            if not _is_written(place):
                _write(place, zlib.compress(content))
        return FileVersion(file.path, file.executable, size_bytes, digest, kept=content is not None)


_DELETE_LIST = "Delete that file; the code is kept again with the next run of it."


class Code(Mapping[str, bytes]):
    """The files of one bundle: a mapping of the paths whose content is kept to the content.

    Attributes:
        bundle_hash: Of which bundle.
    """

    def __init__(self, bundle_hash: str, versions: Iterable[FileVersion], objects: Path) -> None:
        self.bundle_hash = bundle_hash
        self._versions = {version.path: version for version in versions}
        self._objects = objects

    def __repr__(self) -> str:
        kept = len(self)
        rest = f", {len(self._versions) - kept:,} by hash only" if kept < len(self._versions) else ""
        return f"<Code {self.bundle_hash[:12]}: {kept:,} {'file' if kept == 1 else 'files'}{rest}>"

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path of the bundle, sorted, those by hash only too."""
        return tuple(self._versions)

    @property
    def versions(self) -> tuple[FileVersion, ...]:
        """What is known of every path: size, hash, whether the content is kept."""
        return tuple(self._versions.values())

    def __getitem__(self, path: str) -> bytes:
        version = self._versions.get(path)
        if version is None:
            raise CodeNotKeptError(f"There was no file {path!r} in this code.", file=path, hint="`.paths` lists what there was.")
        if not version.kept or version.sha256 is None:
            how = f"only its size ({version.size_bytes:,} bytes) and hash are" if version.sha256 else "it could not be read"
            hint = f"Files up to {FILE_LIMIT_BYTES:,} bytes are kept, up to {SNAPSHOT_LIMIT_BYTES:,} in all."
            raise CodeNotKeptError(f"The content of {path!r} was not kept; {how}.", file=path, hint=hint)
        place = _place(self._objects, version.sha256)
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
        """Write the files into a directory that is empty, or not there yet; return the paths whose content is not kept.

        Raises:
            StoreError: The directory holds something, cannot be written, or a content is damaged.
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
        """Return what changed from this code to ``other``.

        Raises:
            StoreError: A content is damaged.
        """
        return diff_code(self.versions, other.versions, self.__getitem__, other.__getitem__)


def _importance(file: CodeSource) -> tuple[bool, int, str]:
    """Sort what a person would miss most to the front: code and configuration, then small files."""
    return os.path.splitext(file.path)[1] not in _CODE_SUFFIXES, file.size_bytes, file.path  # noqa: PTH122 -- 100,000 of them


def _read(source: Path | bytes, limit_bytes: int) -> tuple[bytes | None, int, str]:
    """Return the content (None if it is larger than the limit, and then never in memory), its size and its hash."""
    if isinstance(source, bytes):
        return source if len(source) <= limit_bytes else None, len(source), hashlib.sha256(source).hexdigest()
    # Not blocking: since the scan a pipe may have taken the file's place.
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
        return path.stat().st_size > 0  # an empty one is what a loss of power leaves
    except FileNotFoundError:
        return False


def _write(path: Path, content: bytes) -> None:
    """Write a file that appears only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        scratch.write_bytes(content)
        scratch.replace(path)
    except BaseException:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
        raise


def _listing(versions: Iterable[FileVersion]) -> bytes:
    rows = [[one.path, one.executable, one.size_bytes, one.sha256, one.kept] for one in sorted(versions, key=lambda one: one.path)]
    return json.dumps({"format": _FORMAT, "files": rows}, separators=(",", ":")).encode()


def _versions(content: bytes) -> list[FileVersion]:
    """Read a list of files back.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: It is damaged, or of a newer version.
    """
    data = json.loads(content)
    if data["format"] != _FORMAT:
        raise ValueError("of another version")
    versions = []
    for path, executable, size_bytes, digest, kept in data["files"]:
        if path.startswith("/") or ".." in path.split("/") or not (digest is None or _SHA256.fullmatch(digest)):
            raise ValueError("a path that leads outside, or no hash")
        versions.append(FileVersion(path, bool(executable), int(size_bytes), digest, kept=bool(kept)))
    return versions
