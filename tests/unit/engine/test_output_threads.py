"""Threads that a trial starts print to its log."""

# ruff: noqa: T201 -- what is printed is what is tested
from __future__ import annotations

import _thread
import ctypes
import io
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.pool import ThreadPool

import pytest
from support.captures import in_cell, texts
from support.waiting import LIMIT_S

from detjupyter.engine.output import LogSink, captured, close_capture, native_threads_belong_here, uncaptured


class TestThreads:
    """Threads that a trial starts print to its log."""

    @pytest.mark.parametrize("way", ["thread", "subclass", "timer", "executor", "pool", "nested", "raw", "joined later"])
    def test_a_thread_belongs_to_the_trial_that_starts_it(self, way: str, cell: io.StringIO, sink: LogSink) -> None:
        """However it is started."""
        done = threading.Event()

        def work() -> None:
            print("from", "a thread")
            done.set()

        class Worker(threading.Thread):
            def run(self) -> None:
                work()

        with captured(sink):
            match way:
                case "thread" | "joined later":
                    threading.Thread(target=work).start()
                case "subclass":
                    Worker().start()
                case "timer":
                    threading.Timer(0.0, work).start()
                case "executor":
                    with ThreadPoolExecutor(1) as executor:
                        executor.submit(work)
                case "pool":
                    with ThreadPool(1) as pool:
                        pool.apply(work)
                case "nested":
                    threading.Thread(target=lambda: threading.Thread(target=work).start()).start()
                case "raw":
                    _thread.start_new_thread(work, ())
            assert done.wait(LIMIT_S)
        assert texts(sink) == ["from a thread"]
        assert cell.getvalue() == ""

    def test_a_thread_that_outlives_the_training_still_prints_to_the_log(self, cell: io.StringIO, sink: LogSink) -> None:
        """The replaced functions of the process are restored when it ends."""
        ended = threading.Event()

        def work() -> None:
            assert ended.wait(LIMIT_S)
            print("late")

        with captured(sink):
            thread = threading.Thread(target=work)
            thread.start()
        assert "write" in vars(cell)
        ended.set()
        thread.join()
        assert texts(sink) == ["late"]
        assert cell.getvalue() == ""
        deadline = time.monotonic() + LIMIT_S
        while "write" in vars(cell):  # the thread's own data goes a moment after it was joined
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def test_the_traceback_of_a_thread_is_in_the_log(self, cell: io.StringIO, sink: LogSink, monkeypatch: pytest.MonkeyPatch) -> None:
        """`threading.excepthook` prints it when the function has ended already."""
        monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
        with captured(sink):
            thread = threading.Thread(target=lambda: 1 / 0)
            thread.start()
            thread.join()
        assert texts(sink)[-1] == "ZeroDivisionError: division by zero"
        assert cell.getvalue() == ""

    def test_a_thread_of_a_cell_is_the_cells(self, cell: io.StringIO, sink: LogSink) -> None:
        """Although a trial is captured when it starts."""
        with captured(sink):
            in_cell(lambda: threading.Thread(target=lambda: print("a cell")).start())
        assert cell.getvalue() == "a cell\n"

    def test_an_executor_prints_for_who_submits(self, cell: io.StringIO, sink: LogSink) -> None:
        """One executor may serve a trial and a cell; its threads were started by one of them."""
        with ThreadPoolExecutor(1) as executor, captured(sink):
            executor.submit(print, "the trial").result(LIMIT_S)
            with uncaptured():
                executor.submit(print, "a cell").result(LIMIT_S)
            future: Future[int] = executor.submit(int, "x")
            with pytest.raises(ValueError, match="invalid literal"):
                future.result(LIMIT_S)
        assert texts(sink) == ["the trial"]
        assert cell.getvalue() == "a cell\n"

    def test_a_thread_keeps_its_own_methods(self, sink: LogSink) -> None:
        """The object keeps no attributes of detjupyter, and starting it twice gives the same error as usual."""
        with captured(sink):
            thread = threading.Thread(target=lambda: None)
            thread.start()
            thread.join()
            with pytest.raises(RuntimeError, match="only be started once"):
                thread.start()
        assert "run" not in vars(thread)

    def test_closing_ends_the_capture_of_threads_that_never_end(self, cell: io.StringIO, sink: LogSink) -> None:
        """The monitor of a progress bar lives as long as the process; the process's functions are still restored."""
        end = threading.Event()
        with captured(sink):
            thread = threading.Thread(target=end.wait, args=(LIMIT_S,), daemon=True)
            thread.start()
        assert "write" in vars(cell)
        close_capture(sink)
        assert "write" not in vars(cell)
        close_capture(sink)
        end.set()
        thread.join()


class TestNativeThreads:
    """Threads that C code starts, such as those in which torch runs `backward()` for a GPU."""

    @pytest.fixture
    def in_native_thread(self) -> Callable[[Callable[[], object]], None]:
        """Return what calls a function in a thread that Python did not start."""
        pthread = ctypes.CDLL(None)
        if not hasattr(pthread, "pthread_create"):
            pytest.skip("there are no POSIX threads here")

        def call(function: Callable[[], object]) -> None:
            callback = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(lambda _: function() and None)
            number = ctypes.c_ulong()
            assert pthread.pthread_create(ctypes.byref(number), None, callback, None) == 0
            assert pthread.pthread_join(number, None) == 0

        return call

    def test_their_text_belongs_to_the_trial_that_uses_them(
        self, in_native_thread: Callable[[Callable[[], object]], None], cell: io.StringIO, sink: LogSink
    ) -> None:
        """While it does, and not before or after: a cell may use them, too."""
        with captured(sink):
            in_native_thread(lambda: print("before"))
            with native_threads_belong_here():
                in_native_thread(lambda: print("trial"))
                in_cell(lambda: print("cell"))
            in_native_thread(lambda: print("after"))
        with native_threads_belong_here():
            in_native_thread(lambda: print("of a cell"))
        assert texts(sink) == ["trial"]
        assert cell.getvalue() == "before\ncell\nafter\nof a cell\n"

    def test_two_trials_that_use_them_at_once_are_not_mixed_up(
        self, in_native_thread: Callable[[Callable[[], object]], None], cell: io.StringIO, sink: LogSink
    ) -> None:
        """Their text is in no log rather than in the wrong one."""
        other = LogSink()
        with captured(sink), native_threads_belong_here(), captured(other), native_threads_belong_here():
            in_native_thread(lambda: print("whose?"))
        assert (texts(sink), texts(other), cell.getvalue()) == ([], [], "whose?\n")
        close_capture(other)
