"""A `.tar.gz` written header by header, so that nothing in it depends on the machine, on Python's version or on zlib's.

Python's `tarfile` has filled its headers differently from version to version, and two builds of zlib compress the same bytes differently.
So the headers are written here, and the content is *stored* in the gzip stream, not compressed (RFC 1951, 3.2.4): every `tar` reads it,
and it is as large as the files in it.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from typing import IO

_BLOCK_BYTES = 512  # of tar
_RECORD_BYTES = 20 * _BLOCK_BYTES  # tar pads its end to whole records
_STORED_BYTES = 65_535  # the most that a stored block of deflate holds


class Tarball:
    """An archive under way: :meth:`begin` a file, :meth:`write` exactly its content, :meth:`close` after the last."""

    def __init__(self, file: IO[bytes]) -> None:
        self._stream = _StoredGzip(file)

    @property
    def size_bytes(self) -> int:
        """The size of the archive; final after :meth:`close`."""
        return self._stream.size_bytes

    @property
    def sha256(self) -> str:
        """The hash of the archive, in hex; final after :meth:`close`."""
        return self._stream.digest.hexdigest()

    def begin(self, name: bytes, size_bytes: int, *, executable: bool) -> None:
        """Begin a file: its name (relative, POSIX) in the bytes of the disk, and how much content follows."""
        self._pad(_BLOCK_BYTES)
        self._stream.write(_header(name, size_bytes, 0o755 if executable else 0o644))

    def write(self, content: bytes) -> None:
        """Add to the file that was begun."""
        self._stream.write(content)

    def close(self) -> None:
        """Write the end."""
        self._pad(_BLOCK_BYTES)
        self._stream.write(b"\0" * (2 * _BLOCK_BYTES))
        self._pad(_RECORD_BYTES)
        self._stream.close()

    def _pad(self, unit_bytes: int) -> None:
        self._stream.write(b"\0" * (-self._stream.position % unit_bytes))


class _StoredGzip:
    """A gzip stream (RFC 1952) of stored blocks, without name or time; the blocks' bounds depend on the content alone."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._pending = bytearray()
        self._crc = 0
        self.digest = hashlib.sha256()
        self.position = 0  # in what the stream holds
        self.size_bytes = 0  # of the stream itself
        self._emit(b"\x1f\x8b" + b"\x08\0" + b"\0\0\0\0" + b"\0\xff")  # deflate, no flags, no time, no level, an unknown system

    def write(self, data: bytes) -> None:
        self._crc = zlib.crc32(data, self._crc)
        self.position += len(data)
        self._pending += data
        whole = len(self._pending) // _STORED_BYTES * _STORED_BYTES
        for start in range(0, whole, _STORED_BYTES):
            self._block(bytes(self._pending[start : start + _STORED_BYTES]), last=False)
        del self._pending[:whole]

    def close(self) -> None:
        self._block(bytes(self._pending), last=True)
        self._emit(struct.pack("<II", self._crc, self.position % 2**32))

    def _block(self, data: bytes, *, last: bool) -> None:
        self._emit(struct.pack("<BHH", last, len(data), len(data) ^ 0xFFFF) + data)

    def _emit(self, data: bytes) -> None:
        self._file.write(data)
        self.digest.update(data)
        self.size_bytes += len(data)


def _header(name: bytes, size_bytes: int, mode: int) -> bytes:
    """Return the header of a file (POSIX.1-2001 ustar), with an extended one before it where a name or a size does not fit."""
    records = b""
    prefix, rest = _split(name)
    if rest is None or not name.isascii():
        try:
            name.decode("utf-8")
        except UnicodeDecodeError:
            records += _record(b"hdrcharset", b"BINARY")
        records += _record(b"path", name)
        prefix, rest = b"", name[:100]
    if size_bytes >= 8**11:
        records += _record(b"size", b"%d" % size_bytes)
        size_bytes = 0
    extended = b""
    if records:
        padding = b"\0" * (-len(records) % _BLOCK_BYTES)
        extended = _ustar(b"././@PaxHeader", b"", len(records), 0o644, b"x") + records + padding
    return extended + _ustar(rest, prefix, size_bytes, mode, b"0")


def _ustar(name: bytes, prefix: bytes, size_bytes: int, mode: int, kind: bytes) -> bytes:
    numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, 0, 0, size_bytes, 0)  # mode, owner, group, size, time
    before = struct.pack("100s48s", name, numbers)
    after = struct.pack("c100s8s32s32s8s8s155s12s", kind, b"", b"ustar\x0000", b"", b"", b"", b"", prefix, b"")  # no links, no names
    checksum = sum(before) + sum(after) + 8 * ord(" ")
    return before + b"%06o\0 " % checksum + after


def _split(name: bytes) -> tuple[bytes, bytes | None]:
    """Split a name at a slash into what ustar has room for: 155 and 100 bytes; None if there is no such slash."""
    if len(name) <= 100:
        return b"", name
    slash = name.find(b"/", len(name) - 101)
    return (name[:slash], name[slash + 1 :]) if 0 < slash <= 155 else (b"", None)


def _record(keyword: bytes, value: bytes) -> bytes:
    """Return one record of an extended header; its length counts its own digits."""
    rest = b" " + keyword + b"=" + value + b"\n"
    length = len(rest)
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return b"%d" % length + rest
