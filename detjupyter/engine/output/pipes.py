"""Pipes from the child processes of a trial to its log, and the sink in a forked child."""

from __future__ import annotations

import codecs
import os
import select
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from detjupyter.engine.output.owner import uncaptured
from detjupyter.engine.output.sink import MAX_LINE, LogSink, OpenLines
from detjupyter.protocol.events import Until

NUMBERS = {"stdout": 1, "stderr": 2}
CHUNK_BYTES = 65_536


class Pipes:
    """A pipe for ``stdout`` and one for ``stderr``, whose text goes to ``sink``. POSIX only.

    A thread reads while children write, so that no child blocks on a full pipe. :meth:`LogSink.take` reads, too, so that the log contains
    all output of a child as soon as the trial has waited for the child to end.

    Attributes:
        ends: The descriptors for children to write to, by stream.

    Thread: any.
    """

    def __init__(self, sink: LogSink) -> None:
        self._sink = sink
        self._lock = threading.Lock()  # around each read and the use of its text: concurrent readers would swap pieces of the text
        self._reading: dict[int, tuple[str, Any]] = {}  # Any: an incremental decoder, which has no public type
        self.ends: dict[str, int] = {}
        for stream in NUMBERS:
            reader, writer = os.pipe()
            os.set_blocking(reader, False)  # drain() and the thread compete for the text, and the loser must not wait
            self._reading[reader] = (stream, codecs.getincrementaldecoder("utf-8")("replace"))
            self.ends[stream] = writer
        self._forget = sink.add_source(self.drain)
        with uncaptured():  # else the new thread would count as one of the trial's
            threading.Thread(target=self._read, name="detjupyter child output", daemon=True).start()

    def drain(self) -> None:
        """Write the present content of the pipes to the sink."""
        with self._lock:
            for reader in list(self._reading):
                self._drain(reader)  # only the thread closes an ended pipe, because it may be polling that descriptor now

    def close(self) -> None:
        """Close this process's ends. Children that still run have copies, and their output is read until they end."""
        while self.ends:
            # popitem() is one operation: if two threads closed a descriptor, the second could close a file that was opened in between.
            os.close(self.ends.popitem()[1])

    def leave_to_parent(self) -> None:
        """Close all descriptors in a forked child, which has no reading thread."""
        for number in (*self._reading, *self.ends.values()):
            with suppress(OSError):
                os.close(number)

    def _drain(self, reader: int) -> bool:
        """Read all available text, and return whether the pipe has ended because no process can write to it any more."""
        stream, decoder = self._reading[reader]
        while True:
            try:
                data = os.read(reader, CHUNK_BYTES)
            except BlockingIOError:
                return False
            text = decoder.decode(data, final=not data)
            if text:
                self._sink.write(stream, text, source=self)
            if not data:
                return True

    def _read(self) -> None:
        while readers := list(self._reading):
            poll = select.poll()
            for reader in readers:
                poll.register(reader, select.POLLIN)
            poll.poll()  # without the lock: drain() would have to wait until a child writes
            with self._lock:
                for reader in readers:
                    if self._drain(reader):
                        del self._reading[reader]
                        os.close(reader)
        self._forget()


class ChildSink:
    """The sink in a forked child: writes whole lines to the descriptors 1 and 2, which are the trial's pipes.

    Thread: any.
    """

    def __init__(self) -> None:
        self._open = OpenLines(_whole_lines)

    def write(self, stream: str, text: str) -> None:
        """Write the whole lines of ``stream`` at once, so that the lines of several children do not mix."""
        self._open.add(stream, text, _write_lines)

    def flush(self) -> None:
        """Write the text that no newline has ended."""
        for stream, text in self._open.take():
            _write_all(NUMBERS[stream], text)

    def say(self, text: str) -> None:
        """Write a line."""
        self.write("stdout", text + "\n")

    def say_once(self, text: str) -> None:
        """Write a line. A child lives so briefly that repeated lines are not suppressed."""
        self.say(text)

    def warn(self, text: str, until: Until) -> None:  # noqa: ARG002
        """Write a line: only lines leave a child."""
        self.say(text)


def _whole_lines(text: str) -> tuple[list[str], str]:
    """Split off the whole lines. What redraws them is obeyed in the process that reads them."""
    *whole, rest = text.split("\n")
    return whole, rest[-MAX_LINE:]


def _write_lines(stream: str, lines: Iterable[str]) -> None:
    _write_all(NUMBERS[stream], "\n".join((*lines, "")))


def _write_all(number: int, text: str) -> None:
    data = text.encode("utf-8", "replace")
    with suppress(OSError):  # the kernel, which reads the pipe, has ended
        while data:
            data = data[os.write(number, data) :]
