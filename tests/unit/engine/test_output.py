"""The sink of what a trial prints."""

# ruff: noqa: T201 -- what is printed is what is tested
from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from support.finalizers import Finalizer, run_with
from support.waiting import LIMIT_S

from detjupyter.engine import output
from detjupyter.engine.output import LogSink, captured
from detjupyter.protocol.records import LogLine


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
        """A line says what was left out."""
        sink = LogSink()
        sink.write("stdout", "x" * 100_000 + "\n")
        assert len(texts(sink)[0]) == output.MAX_LINE
        sink.write("stdout", "line\n" * (output.MAX_PENDING_LINES + 7))
        lines = texts(sink)
        assert len(lines) == output.MAX_PENDING_LINES + 1
        assert lines[-1].startswith("7 lines were left out")
        assert texts(sink) == []

    def test_many_threads_may_write(self) -> None:
        """No line is lost or split if each is written at once."""
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

    def test_two_threads_do_not_mix_within_a_line(self) -> None:
        """`print(a, b)` writes in pieces, and other threads print in between."""
        sink = LogSink()
        sink.write("stdout", "left ")
        other = threading.Thread(target=sink.write, args=("stdout", "right\n"))
        other.start()
        other.join()
        sink.write("stdout", "half\n")
        assert texts(sink) == ["right", "left half"]

    def test_what_is_said_once_is_said_once(self) -> None:
        """Each line of it is a line of the log."""
        sink = LogSink()
        for _ in range(3):
            sink.say_once("one\ntwo")
        assert texts(sink) == ["one", "two"]

    def test_a_closed_sink_takes_nothing_more(self) -> None:
        """What it had before can still be taken."""
        sink = LogSink()
        sink.write("stdout", "before\n")
        sink.close()
        sink.write("stdout", "after\n")
        assert texts(sink, unfinished=True) == ["before"]


class TestFinalizers:
    """A garbage collection may run a finalizer that prints between any two lines, in the thread that prints."""

    def test_a_finalizer_may_print_while_its_thread_prints(self) -> None:
        """As a progress bar does that closes itself: the thread does not wait for itself, and no text is lost."""
        sink, taken = LogSink(), list[LogLine]()
        finalizer = Finalizer(lambda: sink.write("stdout", "late\n"))

        def work() -> None:
            for _ in range(3):
                sink.write("stdout", "one\ntwo")
                sink.write("stdout", "!\n")
                sink.say("said")
                sink.say_once("said once")
                sink.add_source(lambda: None)()
                taken.extend(sink.take(unfinished=True))

        run_with(finalizer, work)
        text = "".join(line.text for line in (*taken, *sink.take(unfinished=True)))
        assert text.count("late") == finalizer.calls
        assert text.replace("late", "") == "onetwo!saidsaid once" + "onetwo!said" * 2

    def test_a_thread_that_prints_waits_for_no_other(self) -> None:
        """A finalizer that logs needs the lock of the logging handler, which another thread may hold while it prints."""
        sink, handler = LogSink(), threading.Lock()

        def log(is_held: threading.Event) -> None:
            with handler:
                is_held.set()
                sink.write("stdout", "other\n")

        def finalize() -> None:
            is_held = threading.Event()
            threading.Thread(target=log, args=(is_held,), daemon=True).start()
            assert is_held.wait(LIMIT_S)
            assert handler.acquire(timeout=LIMIT_S), "the other thread waits for this one"
            handler.release()

        finalizer = Finalizer(finalize)
        run_with(finalizer, lambda: sink.write("stdout", "own\n"))
        assert sorted(texts(sink)) == ["other"] * finalizer.calls + ["own"]


class TestCapturing:
    """Which thread's text goes where."""

    def test_two_threads_have_two_sinks(self) -> None:
        """Two sessions that train at once do not mix their logs."""
        sinks = [LogSink(), LogSink()]
        both = threading.Barrier(2, timeout=60)

        def work(number: int) -> None:
            with captured(sinks[number]):
                both.wait()
                print("from", number)
                both.wait()

        threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [texts(sink) for sink in sinks] == [["from 0"], ["from 1"]]


PRINTING = """
import io, sys, threading, time
from detjupyter.engine.output import LogSink, captured

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
    """The interpreter does not hold a reference to the stream during ``print``: a wrapper deleted at that time would crash the process."""
    ended = subprocess.run([sys.executable, "-c", PRINTING], capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
