"""The sink of what a trial prints."""

# ruff: noqa: T201 -- what is printed is what is tested
from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest
from support.finalizers import Finalizer, run_with
from support.waiting import LIMIT_S
from tqdm import tqdm

from detjupyter.engine import output
from detjupyter.engine.output import LogSink, captured
from detjupyter.protocol.records import LogLine


def texts(sink: LogSink, *, unfinished: bool = False) -> list[str]:
    """Return the lines that a sink gives now."""
    return [line.text for line in sink.take(unfinished=unfinished)]


class Written:
    """A file that writes to a sink."""

    def __init__(self, sink: LogSink) -> None:
        self._sink = sink

    def write(self, text: str) -> None:
        """Print ``text``."""
        self._sink.write("stderr", text)

    def flush(self) -> None:
        """Do nothing."""


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

    @pytest.mark.parametrize(
        ("written", "shown"),
        [
            ("\x1b[1;31mred\x1b[0m \x1b[38:5:208mx\n", ["red x"]),
            ("long\r\x1b[Kend\n", ["end"]),
            ("all of it\x1b[2K\rend\n", ["end"]),
            ("old\r\x1b[K\nnext\n", ["", "next"]),
            ("\x1b[?25lbar 1\x1b[1Gbar 2\x1b[?25h\n", ["bar 2"]),
            ("kept\x1b[2J \x1b]0;title\x07\x1b[5C\n", ["kept\x1b[2J \x1b]0;title\x07\x1b[5C"]),
        ],
    )
    def test_what_erases_and_colors_is_obeyed_and_other_sequences_stay(self, written: str, shown: list[str]) -> None:
        """Other sequences are text, which views spell out; a sequence can arrive in pieces."""
        for pieces in ([written], list(written)):
            sink = LogSink()
            for piece in pieces:
                sink.write("stderr", piece)
            assert texts(sink, unfinished=True) == shown

    @pytest.mark.parametrize("before", ["a\nb\n\x1b[2A", "old\r", "\x1b[?25l\x1b[1G", "a\n\x1b[A\x1b[J"])
    @pytest.mark.parametrize("sequence", ["\x1b[2K", "\x1b[?25h", "\x1b[38;5;208m", "\x1b[1B"])
    def test_a_sequence_can_arrive_in_two_pieces(self, before: str, sequence: str) -> None:
        """The pipe of a child process splits its output anywhere, also where the cursor is not at the end."""
        shown = []
        for cut in range(len(sequence)):
            sink = LogSink()
            sink.write("stdout", before + sequence[:cut])
            sink.write("stdout", sequence[cut:] + "new\n")
            shown.append(texts(sink, unfinished=True))
        assert shown == [shown[0]] * len(sequence)

    @pytest.mark.parametrize("leave", [True, False])
    def test_nested_bars_of_tqdm_leave_one_line_each(self, leave: bool) -> None:
        """They move the cursor up after each refresh of the lower one. Text after them is a line, too."""
        sink = LogSink()
        file: Any = Written(sink)
        lines: list[str] = []
        for epoch in tqdm(range(3), "epochs", file=file, mininterval=0, ncols=60):
            for _ in tqdm(range(4), f"batches of {epoch}", file=file, mininterval=0, leave=leave, position=1, ncols=60):
                lines += texts(sink)
        file.write("after\n")
        lines += texts(sink, unfinished=True)
        assert "\x1b" not in "".join(lines)
        assert lines.count("after") == 1
        assert sum(line.startswith("epochs: 100%") for line in lines) == 1
        assert len(lines) <= 2 + 3 * leave + 1  # the first state of the outer bar is a line before its cursor has moved up

    def test_more_nested_bars_leave_one_line_each(self) -> None:
        """The cursor moves up with one sequence for each row."""
        sink = LogSink()
        file: Any = Written(sink)
        lines: list[str] = []
        options: dict[str, Any] = {"file": file, "mininterval": 0, "ncols": 60}
        for _ in tqdm(range(2), "epochs", **options):
            for _ in tqdm(range(2), "batches", position=1, **options):
                for _ in tqdm(range(2), "parts", position=2, **options):
                    lines += texts(sink)
        lines += texts(sink, unfinished=True)
        shown = [line.partition("|")[0].replace(":", "").split() for line in lines if line]
        assert [name for name, percent in shown if percent == "100%"] == [*["parts", "parts", "batches"] * 2, "epochs"]
        assert [name for name, percent in shown if percent != "100%"] == ["epochs", "batches"]  # before the cursor has moved up

    def test_a_progress_table_of_rich_leaves_its_last_state(self) -> None:
        """It erases the lines that it has printed, and prints them again."""
        sink = LogSink()
        sink.write("stdout", "a 10%\nb 10%")
        sink.write("stdout", "\r\x1b[2K\x1b[1A\x1b[2Ka 50%\nb 50%")
        lines = texts(sink)
        for percent in (60, 70, 100):
            sink.write("stdout", f"\r\x1b[2K\x1b[1A\x1b[2Ka {percent}%\nb {percent}%")
            lines += texts(sink)
        sink.write("stdout", "\n")
        lines += texts(sink, unfinished=True)
        assert lines == ["a 10%", "a 100%", "b 100%"]

    def test_a_cursor_far_up_keeps_few_lines(self) -> None:
        """The text that can still be redrawn is bounded."""
        sink = LogSink()
        sink.write("stdout", "\x1b[9999A" + "".join(f"{number}\n" for number in range(1000)))
        assert len(texts(sink)) >= 900
        assert texts(sink, unfinished=True)[-1] == "999"

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
