"""The text of each thread goes to the right log, for every way of printing."""

# ruff: noqa: T201 -- what is printed is what is tested
from __future__ import annotations

import contextlib
import io
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from support.captures import in_cell, texts
from support.waiting import LIMIT_S

from detjupyter.engine.output import LogSink, are_captured, captured, close_capture, keep_captured, silenced, uncaptured
from detjupyter.engine.output.patches import unwrapped


class TestStreams:
    """The ways to a standard stream."""

    @pytest.mark.parametrize("way", ["print", "saved", "dunder", "write", "writelines", "bound", "rich"])
    def test_every_way_leads_to_the_log(self, way: str, cell: io.StringIO, sink: LogSink) -> None:
        """A reference that was saved before the capture began is as good as `sys.stdout`."""
        saved = sys.stdout
        with captured(sink):
            bound = saved.write
            match way:
                case "print":
                    print("hello")
                case "saved":
                    print("hello", file=saved)
                case "dunder":
                    print("hello", file=sys.__stdout__)
                case "write":
                    assert sys.stdout.write("hello\n") == 6
                case "writelines":
                    sys.stdout.writelines(["hel", "lo\n"])
                case "bound":
                    bound("hello\n")
                case "rich":
                    pytest.importorskip("rich.console").Console(file=saved).print("hello")
        assert "hello" in "\n".join(texts(sink))
        assert cell.getvalue() == ""

    def test_a_cell_prints_where_it_always_does(self, cell: io.StringIO, sink: LogSink) -> None:
        """While a trial is captured, and afterwards; the object in `sys` stays the kernel's own."""
        with captured(sink):
            assert sys.stdout is cell
            in_cell(lambda: print("from a cell"))
            with uncaptured():
                print("from a view")
        print("afterwards")
        assert cell.getvalue() == "from a cell\nfrom a view\nafterwards\n"
        assert texts(sink) == []

    def test_a_trial_cannot_close_the_stream(self, cell: io.StringIO, sink: LogSink) -> None:
        """Neither by `close()` nor by a `with`; a cell prints afterwards, and the trial, too."""
        with captured(sink):
            sys.stdout.close()
            with sys.stderr:
                pass
            print("still there")
        print("a cell")
        assert texts(sink) == ["still there"]
        assert cell.getvalue() == "a cell\n"

    def test_text_that_is_none_is_refused_as_ever(self, sink: LogSink) -> None:
        """The same error as without a capture."""
        with captured(sink), pytest.raises(TypeError, match="must be str, not int"):
            sys.stdout.write(1)  # type: ignore[arg-type]

    def test_a_cell_that_captures_loses_nothing_and_gets_nothing(self, sink: LogSink) -> None:
        """A `%%capture` during the training replaces the streams of the process: the trial's text still goes to the log."""
        with captured(sink):
            with contextlib.redirect_stdout(io.StringIO()) as seen:
                assert not are_captured()
                keep_captured()
                assert are_captured()
                print("from the trial")
                in_cell(lambda: print("from the cell"))
            keep_captured()
            assert are_captured()
            assert "write" not in vars(seen)
            print("later")
        assert texts(sink) == ["from the trial", "later"]
        assert seen.getvalue() == "from the cell\n"

    def test_a_tee_of_the_trial_keeps_its_file(self, sink: LogSink, monkeypatch: pytest.MonkeyPatch) -> None:
        """A class that writes to a file and to the stream that it found: the file has the text, and the log has it once."""
        file = io.StringIO()

        class Tee:
            def __init__(self, terminal: Any) -> None:
                self.terminal = terminal

            def write(self, text: str) -> int:
                file.write(text)
                return int(self.terminal.write(text))

            def flush(self) -> None:
                self.terminal.flush()

        with captured(sink):
            monkeypatch.setattr(sys, "stdout", Tee(sys.stdout))
            keep_captured()
            print("hello")
        assert file.getvalue() == "hello\n"
        assert texts(sink) == ["hello"]

    @pytest.mark.parametrize("is_python", [True, False])
    @pytest.mark.parametrize("began", ["before the cell", "within the cell"])
    def test_ipython_may_set_the_method_of_a_stream(
        self, *, is_python: bool, began: str, sink: LogSink, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """At the start of each cell it sets `write` to keep what the cell prints, and sets it back at the end."""

        class PythonStream(io.StringIO):
            def write(self, text: str) -> int:
                return super().write(text)

        stream = PythonStream() if is_python else io.StringIO()
        monkeypatch.setattr(sys, "stdout", stream)
        kept: list[str] = []

        @contextlib.contextmanager
        def of_a_cell() -> Iterator[None]:
            before = stream.write

            def write(text: str) -> int:
                kept.append(text)
                return before(text)

            stream.write = write  # type: ignore[method-assign]
            yield
            stream.write = before  # type: ignore[method-assign]

        with contextlib.ExitStack() as stack:
            if began == "before the cell":
                stack.enter_context(captured(sink))
                keep_captured()
            with of_a_cell():
                if began == "within the cell":
                    stack.enter_context(captured(sink))
                keep_captured()
                print("trial")
                in_cell(lambda: print("cell"))
            for _ in range(3):
                keep_captured()
                print("trial")
                in_cell(lambda: print("thread of a cell"))
                with of_a_cell():
                    pass
            keep_captured()
            assert are_captured()
        print("afterwards")
        assert texts(sink) == ["trial"] * 4
        assert stream.getvalue() == "cell\n" + "thread of a cell\n" * 3 + "afterwards\n"
        assert "".join(kept) == "cell\n"
        assert unwrapped(stream.write) == stream.write

    def test_two_captures_of_one_thread_nest(self, sink: LogSink) -> None:
        """The inner one has the text, and the outer one again afterwards."""
        inner = LogSink()
        with captured(sink):
            with captured(inner):
                print("inner")
            print("outer")
        assert (texts(inner), texts(sink)) == (["inner"], ["outer"])

    def test_captures_that_overlap_in_two_threads_end_one_by_one(self, cell: io.StringIO, sink: LogSink) -> None:
        """When the first ends, the second is captured still."""
        other = LogSink()
        began, end = threading.Event(), threading.Event()

        def work() -> None:
            with captured(other):
                began.set()
                assert end.wait(LIMIT_S)
                print("the other")

        with captured(sink):
            with uncaptured():
                thread = threading.Thread(target=work)
                thread.start()
            assert began.wait(LIMIT_S)
            print("the first")
        end.set()
        thread.join()
        assert (texts(sink), texts(other), cell.getvalue()) == (["the first"], ["the other"], "")

    def test_a_thread_that_has_the_number_of_an_ended_one_is_not_captured(self, cell: io.StringIO, sink: LogSink) -> None:
        """Python gives the numbers of ended threads to new ones, and those are the cells'."""

        def trial() -> int:
            with captured(sink):
                return threading.get_ident()

        with captured(LogSink()), uncaptured():
            numbers: list[int] = []
            for _ in range(50):
                for function in (trial, lambda: print("cell") or threading.get_ident()):
                    thread = threading.Thread(target=lambda function=function: numbers.append(function()))
                    thread.start()
                    thread.join()
        assert cell.getvalue() == "cell\n" * 50


class TestSilence:
    """A check is not a training of the user."""

    def test_what_is_printed_is_dropped(self, cell: io.StringIO) -> None:
        """A thread that never ends does not keep the process changed."""
        end, printed = threading.Event(), threading.Event()

        def print_and_wait() -> None:
            print("dropped")
            printed.set()
            end.wait(LIMIT_S)

        with silenced():
            print("dropped")
            thread = threading.Thread(target=print_and_wait)
            thread.start()
            assert printed.wait(LIMIT_S)
        print("cell")
        assert "write" not in vars(cell)
        end.set()
        thread.join()
        assert cell.getvalue() == "cell\n"

    def test_a_closed_sink_can_be_used_again(self, cell: io.StringIO, sink: LogSink) -> None:
        """Which a session that is closed and trained again does."""
        with captured(sink):
            print("one")
        close_capture(sink)
        with captured(sink):
            print("two")
        assert (texts(sink), cell.getvalue()) == (["one", "two"], "")
