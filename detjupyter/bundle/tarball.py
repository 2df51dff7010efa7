"""Write a `.tar.gz` whose bytes depend only on the names, modes and contents: not on the machine, the clock or the build of zlib.

`tarfile` writes the headers. The gzip stream is written here: two builds of zlib compress the same bytes differently, and even split
uncompressed data at different positions. So the content is *stored* (RFC 1951, 3.2.4): every `tar` reads it, and the archive is as large
as the files in it.
"""

from __future__ import annotations

import hashlib
import struct
import tarfile
import zlib
from typing import IO

_STORED_BYTES = 65_535  # the maximum size of a stored block of deflate


class Tarball:
    """Write an archive: :meth:`begin` a file, :meth:`write` its content, and :meth:`close` after the last file."""

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
        """Begin a file: its name (relative, POSIX) as bytes, and the size of the content that follows."""
        member = tarfile.TarInfo(name.decode("utf-8", "surrogateescape"))  # no owner, no time
        member.size, member.mode = size_bytes, 0o755 if executable else 0o644
        self._pad(tarfile.BLOCKSIZE)
        self._stream.write(member.tobuf(tarfile.PAX_FORMAT, "utf-8"))

    def write(self, content: bytes) -> None:
        """Append to the current file."""
        self._stream.write(content)

    def close(self) -> None:
        """Write the end: two empty blocks, padded to a whole record."""
        self._pad(tarfile.BLOCKSIZE)
        self._stream.write(bytes(2 * tarfile.BLOCKSIZE))
        self._pad(tarfile.RECORDSIZE)
        self._stream.close()

    def _pad(self, unit_bytes: int) -> None:
        self._stream.write(bytes(-self._stream.position % unit_bytes))


class _StoredGzip:
    """A gzip stream (RFC 1952) of stored blocks, without name or time; the block boundaries depend only on the content."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._pending = bytearray()
        self._crc = 0
        self.digest = hashlib.sha256()
        self.position = 0  # in the uncompressed content
        self.size_bytes = 0  # of the gzip stream
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
        self._emit(struct.pack("<II", self._crc, self.position % 2**32))  # the field has 32 bits, so larger sizes wrap around (RFC 1952)

    def _block(self, data: bytes, *, last: bool) -> None:
        self._emit(struct.pack("<BHH", last, len(data), len(data) ^ 0xFFFF) + data)

    def _emit(self, data: bytes) -> None:
        self._file.write(data)
        self.digest.update(data)
        self.size_bytes += len(data)
