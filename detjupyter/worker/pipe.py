"""Frames over a connected socket: each is preceded by its length."""

from __future__ import annotations

import queue
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

_LENGTH = struct.Struct("<Q")
_PIECE_BYTES = 1 << 20


class FramePipe:
    """One end of a connection. Two threads send and receive, so that neither end waits for the other.

    Args:
        connected: The socket; it is closed at the end.
        receive: Takes each frame, in the receiving thread.
        ended: Called once, in the receiving thread, when no frame can arrive any more.
        name: The name of the threads.
    """

    def __init__(self, connected: socket.socket, receive: Callable[[bytes], None], ended: Callable[[], None], *, name: str) -> None:
        self._socket = connected
        self._receive = receive
        self._ended = ended
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()  # its put takes no lock that a finalizer could wait for
        self._sender = threading.Thread(target=self._send_all, name=f"{name} sends", daemon=True)
        self._receiver = threading.Thread(target=self._receive_all, name=f"{name} receives", daemon=True)

    def start(self) -> None:
        """Begin to send and to receive."""
        self._sender.start()
        self._receiver.start()

    def send(self, frame: bytes) -> None:
        """Send a frame, and return at once; it is dropped if the other end is gone. Thread: any."""
        self._outgoing.put(frame)

    def finish(self, limit_s: float) -> None:
        """Send what is left, at most for so long, and close the connection."""
        self._outgoing.put(None)
        self._sender.join(limit_s)
        self.close()

    def close(self) -> None:
        """Close the connection at once."""
        self._outgoing.put(None)
        with suppress(OSError):  # it is closed already
            self._socket.shutdown(socket.SHUT_RDWR)  # both threads notice it, and the receiving one closes the socket

    def _send_all(self) -> None:
        with suppress(OSError):  # the other end is gone: the receiving thread reports it
            while (frame := self._outgoing.get()) is not None:
                self._socket.sendall(_LENGTH.pack(len(frame)))
                self._socket.sendall(frame)

    def _receive_all(self) -> None:
        try:
            with suppress(OSError, EOFError):
                while True:
                    (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
                    self._receive(self._read(length))
        finally:
            self.close()
            self._sender.join()
            self._socket.close()
            self._ended()

    def _read(self, length: int) -> bytes:
        """Return ``length`` bytes.

        Raises:
            EOFError: The other end is gone.
        """
        found = bytearray()
        while len(found) < length:
            piece = self._socket.recv(min(length - len(found), _PIECE_BYTES))
            if not piece:
                raise EOFError
            found += piece
        return bytes(found)
