"""The sink of what a trial prints."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from detjupyter.training import output
from detjupyter.training.output import LogSink, captured


def texts(sink: LogSink, *, unfinished: bool = False) -> list[str]:
    """Return the lines that a sink gives now."""
    return [line.text for line in sink.take(unfinished=unfinished)]


class TestLines:
    """What becomes a line."""

    def test_only_whole_lines_come_unless_asked(self) -> None:
        """The rest waits for its newline."""
        sink = LogSink()
        sink.write("stdout", "one\ntw")
        assert texts(sink) == ["one"]
        assert texts(sink) == []
        sink.write("stdout", "o\nthree")
        assert texts(sink, unfinished=True) == ["two", "three"]
        assert texts(sink, unfinished=True) == []

    def test_empty_lines_stay_and_an_empty_rest_does_not(self) -> None:
        """Spacing between blocks is the user's; what print() leaves open is nothing."""
        sink = LogSink()
        sink.write("stdout", "a\n\nb\n  ")
        assert texts(sink, unfinished=True) == ["a", "", "b"]

    @pytest.mark.parametrize(
        ("written", "shown"),
        [
            ("\r 10%\r 20%\r100%\n", ["100%"]),
            ("10%\r20%\r\n", ["20%"]),
            ("windows\r\n", ["windows"]),
            ("\r50%", ["50%"]),
            ("50%\r", ["50%"]),
        ],
    )
    def test_a_carriage_return_starts_the_line_anew(self, written: str, shown: list[str]) -> None:
        """A progress bar leaves what a terminal would show in the end."""
        sink = LogSink()
        for character in written:
            sink.write("stderr", character)
        assert texts(sink, unfinished=True) == shown

    def test_streams_do_not_mix_within_a_line(self) -> None:
        """Each has its own open line."""
        sink = LogSink()
        sink.write("stdout", "out ")
        sink.write("stderr", "err\n")
        sink.write("stdout", "put\n")
        assert [(line.stream, line.text) for line in sink.take()] == [("stderr", "err"), ("stdout", "out put")]

    def test_very_long_lines_and_very_many_lines_are_cut(self) -> None:
        """What was left out is said."""
        sink = LogSink()
        sink.write("stdout", "x" * 100_000 + "\n")
        assert len(texts(sink)[0]) == output.MAX_LINE
        sink.write("stdout", "line\n" * (output.MAX_PENDING_LINES + 7))
        lines = texts(sink)
        assert len(lines) == output.MAX_PENDING_LINES + 1
        assert lines[-1].startswith("7 lines were left out")
        assert texts(sink) == []

    def test_many_threads_may_write(self) -> None:
        """No line is lost or torn when each is written at once."""
        sink = LogSink()

        def write(number: int) -> None:
            for count in range(100):
                sink.write("stdout", f"{number} {count}\n")

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(texts(sink)) == sorted(f"{number} {count}" for number in range(8) for count in range(100))


class TestCapturing:
    """Which thread's text goes where."""

    def test_two_threads_have_two_sinks(self) -> None:
        """Two sessions that train at once do not mix their logs."""
        sinks = [LogSink(), LogSink()]
        both = threading.Barrier(2, timeout=10)

        def work(number: int) -> None:
            with captured(sinks[number]):
                both.wait()
                print("from", number)  # noqa: T201
                both.wait()

        threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [texts(sink) for sink in sinks] == [["from 0"], ["from 1"]]

    def test_the_wrapped_stream_is_otherwise_the_original(self) -> None:
        """Whatever else it offers, kernels and progress bars find it there."""
        original = sys.stdout
        with captured(LogSink()):
            assert sys.stdout.encoding == original.encoding
            assert sys.stdout.isatty() == original.isatty()
            assert sys.stdout.write("x") == 1
            sys.stdout.flush()
        assert sys.stdout is original

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    def test_a_forked_child_prints_where_it_would_without_us(self) -> None:
        """Nobody reads a child's copy of the sink."""
        sink = LogSink()
        reader, writer = os.pipe()
        before, sys.stdout = sys.stdout, os.fdopen(writer, "w")
        try:
            with captured(sink):
                child = os.fork()
                if child == 0:
                    print("from the child", flush=True)  # noqa: T201
                    os._exit(0)
                os.waitpid(child, 0)
        finally:
            sys.stdout.close()
            sys.stdout = before
        with os.fdopen(reader) as stream:
            assert stream.read() == "from the child\n"
        assert texts(sink, unfinished=True) == []


PRINTING = """
import io, sys, threading, time
from detjupyter.training.output import LogSink, captured

class Slow(io.StringIO):
    def write(self, text):
        time.sleep(0)  # lets the other thread in between two writes of one print
        return len(text)

sys.setswitchinterval(1e-5)
sys.stdout = Slow()
done = threading.Event()

def come_and_go():
    while not done.is_set():
        with captured(LogSink()):
            pass

threading.Thread(target=come_and_go).start()
for number in range(2_000):
    print(number)
done.set()
"""


def test_another_thread_may_print_while_a_capture_ends() -> None:
    """The interpreter does not hold the stream for ``print``: a wrapper that went away under it would take the process with it."""
    ended = subprocess.run([sys.executable, "-c", PRINTING], capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
