"""What the child processes of a trial print is in its log, line by line, and the descriptors of this process stay as they are."""

# ruff: noqa: T201 -- what is printed is what is tested

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from support.finalizers import Finalizer, run_with
from support.waiting import LIMIT_S
from torch.utils.data import DataLoader, Dataset

from detjupyter.engine.output import LogSink, captured, children, close_capture, uncaptured
from detjupyter.engine.output.pipes import ChildSink

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="children are captured on POSIX"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]
METHODS = ["fork", "spawn", "forkserver"]


@pytest.fixture
def sink() -> Iterator[LogSink]:
    """Return a sink that is closed after the test."""
    sink = LogSink()
    yield sink
    close_capture(sink)


def lines(sink: LogSink) -> list[tuple[str, str]]:
    """Return stream and text of the lines that a sink gives now."""
    return [(line.stream, line.text) for line in sink.take(unfinished=True)]


def speak(name: str) -> None:
    """Print in every way that a process has."""
    print("print", name)
    print("error", name, file=sys.stderr)
    sys.stdout.flush()
    os.write(1, b"descriptor\n")
    subprocess.run([sys.executable, "-c", "print('grandchild')"], check=True)


class Speaking(Dataset[torch.Tensor]):
    """Prints each index in the worker that reads it."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> torch.Tensor:
        print("item", index)
        return torch.tensor(index)


class TestPrograms:
    """Other programs."""

    @pytest.mark.parametrize("way", ["run", "system", "explicit", "popen", "check_call", "positional"])
    def test_what_a_program_prints_is_in_the_log(self, way: str, sink: LogSink, capfd: pytest.CaptureFixture[str]) -> None:
        """At the latest when the trial has waited for it."""
        with captured(sink):
            match way:
                case "run":
                    subprocess.run(["echo", "hello"], check=True)
                case "system":
                    assert os.system("echo hello; exit 3") == 3 << 8
                case "explicit":
                    subprocess.run(["echo", "hello"], stdout=sys.stdout, check=True)
                case "popen":
                    with subprocess.Popen("echo hello", shell=True):
                        pass
                case "check_call":
                    subprocess.check_call(["echo", "hello"])
                case "positional":
                    assert subprocess.Popen(["echo", "hello"], -1, None, None, None, None).wait(LIMIT_S) == 0
            assert lines(sink) == [("stdout", "hello")]
        assert capfd.readouterr() == ("", "")

    def test_errors_are_errors_in_the_log(self, sink: LogSink) -> None:
        """Also where a program's two streams are one."""
        with captured(sink):
            subprocess.run("echo oops >&2", shell=True, check=True)
            subprocess.run("echo both >&2", shell=True, check=True, stderr=subprocess.STDOUT)
            assert sorted(lines(sink)) == [("stderr", "oops"), ("stdout", "both")]

    def test_a_program_on_a_descriptor_by_number_prints_to_the_log(self, sink: LogSink, capfd: pytest.CaptureFixture[str]) -> None:
        """1 and 2 are the standard streams' own; ``posix_spawn`` starts a program on them, too."""
        with captured(sink):
            subprocess.run(["echo", "hello"], stdout=1, check=True)
            subprocess.run(["echo", "error"], stdout=2, check=True)
            os.waitpid(os.posix_spawn("/bin/echo", ["echo", "spawned"], dict(os.environ)), 0)
            os.writev(1, [b"in ", b"parts\n"])
        assert sorted(lines(sink)) == [("stderr", "error"), ("stdout", "hello"), ("stdout", "in parts"), ("stdout", "spawned")]
        assert capfd.readouterr() == ("", "")

    def test_a_program_whose_output_is_wanted_gives_it_to_the_trial(self, sink: LogSink) -> None:
        """A pipe of the trial's own stays its own."""
        with captured(sink):
            assert subprocess.check_output(["echo", "mine"]) == b"mine\n"
            subprocess.run(["echo", "nothing"], stdout=subprocess.DEVNULL, check=True)
            assert lines(sink) == []

    def test_a_program_of_a_cell_prints_where_it_always_does(self, sink: LogSink, capfd: pytest.CaptureFixture[str]) -> None:
        """While a trial is captured, too."""
        with captured(sink), uncaptured():
            subprocess.run(["echo", "a cell"], check=True)
            os.write(1, b"of a cell\n")
        assert lines(sink) == []
        assert capfd.readouterr().out == "a cell\nof a cell\n"

    def test_a_program_may_print_more_than_a_pipe_holds(self, sink: LogSink) -> None:
        """While no lines are read, the trial waits for the program."""
        with captured(sink):
            subprocess.run([sys.executable, "-c", "for i in range(4000): print(i, 'x' * 100)"], check=True, timeout=LIMIT_S)
            assert [text.split()[0] for _, text in lines(sink)] == [str(i) for i in range(4000)]

    def test_text_that_is_cut_within_a_character_stays_whole(self, sink: LogSink) -> None:
        """A pipe knows bytes, the log characters."""
        text = "ü€😀" * 30_000
        with captured(sink):
            subprocess.run([sys.executable, "-X", "utf8", "-c", f"print({text[:3]!r} * 30_000)"], check=True, timeout=LIMIT_S)
            assert "�" not in lines(sink)[0][1]

    def test_os_write_of_a_trial_is_in_the_log(self, sink: LogSink, capfd: pytest.CaptureFixture[str]) -> None:
        """Python code that writes to the descriptor, as some libraries do; other descriptors are none of ours."""
        reader, writer = os.pipe()
        with captured(sink):
            assert os.write(1, b"to one\n") == 7
            assert os.write(2, memoryview(b"to two\n")) == 7
            assert os.write(writer, b"to a pipe") == 9
        assert os.read(reader, 100) == b"to a pipe"
        os.close(reader)
        os.close(writer)
        assert lines(sink) == [("stdout", "to one"), ("stderr", "to two")]
        assert capfd.readouterr() == ("", "")

    def test_no_descriptor_is_left_when_the_capture_has_ended(self, sink: LogSink) -> None:
        """Our ends close with the capture, the reader's when the last child has ended."""
        before = descriptors()
        with captured(sink):
            child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        assert child.stdin is not None
        child.stdin.write(b"late\n")
        child.stdin.close()
        assert child.wait(LIMIT_S) == 0
        assert lines(sink) == [("stdout", "late")]
        wait_for(lambda: not descriptors() - before)


class TestProcesses:
    """Processes of multiprocessing."""

    @pytest.mark.parametrize("method", METHODS)
    def test_what_a_process_prints_is_in_the_log(self, method: str, sink: LogSink, capfd: pytest.CaptureFixture[str]) -> None:
        """Each line once, whole, and by the stream that it was printed to; its own children's lines, too."""
        with captured(sink):
            process = multiprocessing.get_context(method).Process(target=speak, args=("name",))
            process.start()
            process.join(LIMIT_S)
            assert process.exitcode == 0
            assert sorted(lines(sink)) == [
                ("stderr", "error name"),
                ("stdout", "descriptor"),
                ("stdout", "grandchild"),
                ("stdout", "print name"),
            ]
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize("method", METHODS)
    def test_what_the_workers_of_a_data_loader_print_is_in_the_log(
        self, method: str, sink: LogSink, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Two workers at once do not mix within a line."""
        with captured(sink), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            workers = 2 if method == "fork" else 1  # the others import torch first
            loader = DataLoader(Speaking(), num_workers=workers, multiprocessing_context=method)
            assert len(list(loader)) == 8
            del loader
            expected = [("stdout", f"item {index}") for index in range(8)]
            heard: list[tuple[str, str]] = []
            wait_for(lambda: len(gather(heard, sink)) >= 8)
            assert sorted(heard) == expected
        assert capfd.readouterr() == ("", "")

    def test_a_pool_prints_to_the_log(self, sink: LogSink) -> None:
        """An executor of processes starts them where the task is submitted."""
        with captured(sink), ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as executor:
            executor.submit(speak, "name").result(LIMIT_S)
            assert ("stdout", "print name") in lines(sink)

    def test_a_process_of_a_cell_prints_where_it_always_does(self, sink: LogSink, capfd: pytest.CaptureFixture[str]) -> None:
        """Forked while a trial is captured."""
        with captured(sink):
            subprocess.run(["true"], check=True)  # the pipes exist
            with uncaptured():
                process = multiprocessing.get_context("fork").Process(target=speak, args=("name",))
                process.start()
                process.join(LIMIT_S)
        assert lines(sink) == []
        assert "print name" in capfd.readouterr().out

    def test_a_process_of_a_cell_keeps_no_pipe_of_a_trial(self, sink: LogSink) -> None:
        """The reading ends with the trial's children, although a child of a cell, forked in between, still runs."""
        reader, writer = os.pipe()
        with captured(sink):
            subprocess.run(["true"], check=True)
            with uncaptured():
                process = multiprocessing.get_context("fork").Process(target=os.read, args=(reader, 1))
                process.start()
        wait_for(lambda: all(thread.name != "detjupyter child output" for thread in threading.enumerate()))
        assert process.is_alive()
        os.write(writer, b"x")
        process.join(LIMIT_S)
        os.close(reader)
        os.close(writer)

    def test_a_child_that_is_forked_by_hand_prints_to_the_log(self, sink: LogSink) -> None:
        """What it leaves unfinished is written when it flushes."""
        with captured(sink):
            child = os.fork()
            if child == 0:
                print("one\ntw", end="")
                print("o", end="", flush=True)
                os._exit(0)
            os.waitpid(child, 0)
            assert lines(sink) == [("stdout", "one"), ("stdout", "two")]

    def test_a_child_in_a_terminal_of_its_own_prints_there(self, sink: LogSink) -> None:
        """The process that opened the terminal reads it, as with pexpect."""
        with captured(sink):
            child, terminal = os.forkpty()
            if not child:
                os.execvp("echo", ["echo", "hello"])
            assert os.read(terminal, 100) == b"hello\r\n"
            os.waitpid(child, 0)
            os.close(terminal)
        assert lines(sink) == []

    def test_two_trials_keep_their_children_apart(self, sink: LogSink) -> None:
        """Each child leads to the log of the trial that started it."""
        other = LogSink()
        for number, one in enumerate((sink, other)):
            with captured(one):
                subprocess.run(["echo", str(number)], check=True)
                process = multiprocessing.get_context("fork").Process(target=print, args=("child", number))
                process.start()
                process.join(LIMIT_S)
        assert [text for _, text in lines(sink)] == ["0", "child 0"]
        assert [text for _, text in lines(other)] == ["1", "child 1"]
        close_capture(other)


class TestDefinitions:
    """A definition that starts a program wherever it runs."""

    def test_programs_print_to_the_log_from_the_import_to_a_reload(self, line: Any, capfd: pytest.CaptureFixture[str]) -> None:
        """And nothing waits: not the load, a batch, a validation or a reload. The cell that loads shows what the load prints."""
        line.edit("import torch\n", "import torch, subprocess\nsubprocess.run(['echo', 'import'])\n")
        for method in ("__init__(self, context)", "build_training_data_loader(self)", "evaluate_batch(self, batch)"):
            name = method.partition("(")[0]
            line.edit(f"def {method}:\n", f"def {method}:\n        subprocess.run(['echo', '{name}'])\n")
        body = "def train_batch(self, batch, epoch_idx, batch_idx):\n"
        line.edit(body, f"{body}        subprocess.run(['echo', 'train_batch'])\n")
        session = line.load()
        assert capfd.readouterr().out.splitlines()[:2] == ["import", "__init__"]
        session.step()
        session.validate()
        session.reload()
        session.step()
        printed = [entry.text for entry in session.channel.log(0)[1] if entry.stream == "stdout"]
        assert [printed.count(name) for name in ("import", "__init__", "train_batch")] == [2, 2, 2]
        assert {"build_training_data_loader", "evaluate_batch"} <= set(printed)


class TestFinalizers:
    """A finalizer may run anywhere, also while what serves the children works."""

    def test_one_may_print_while_a_forked_child_prints(self, capfd: pytest.CaptureFixture[str]) -> None:
        """The child does not wait for itself, and no text is lost."""
        child = ChildSink()  # as in a child, whose descriptors lead to the log
        finalizer = Finalizer(lambda: child.write("stdout", "late\n"))

        def work() -> None:
            child.write("stdout", "one\ntw")
            child.flush()
            child.write("stdout", "o\n")
            child.say("said")

        run_with(finalizer, work)
        child.flush()
        printed = capfd.readouterr().out.replace("\n", "")
        assert printed.count("late") == finalizer.calls
        assert printed.replace("late", "") == "onetwosaid"

    def test_one_may_start_the_first_program_while_another_one_is_started(self) -> None:
        """At whichever line: the other one prints to the log, and no pipe is left over."""
        before = descriptors()

        def start(name: str) -> None:
            subprocess.run(["echo", name], check=True)

        for at in range(1, 61):  # by then the pipes are there
            sink = LogSink()
            with captured(sink):
                run_with(Finalizer(lambda: start("late"), at=at), lambda: start("early"))
                assert ("stdout", "early") in lines(sink)
            close_capture(sink)
        wait_for(lambda: not descriptors() - before)

    def test_a_capture_may_end_while_the_text_of_children_is_read(self, sink: LogSink) -> None:
        """A dead thread's hold may be collected there, and it closes the pipes."""
        with captured(sink):
            subprocess.run(["echo", "hello"], check=True)
            read: list[tuple[str, str]] = []
            run_with(Finalizer(lambda: children.close_pipes(sink)), lambda: read.extend(lines(sink)))
            assert read == [("stdout", "hello")]


def gather(heard: list[tuple[str, str]], sink: LogSink) -> list[tuple[str, str]]:
    """Add the new lines of a sink to ``received``, and return it."""
    heard.extend(lines(sink))
    return heard


def descriptors() -> set[tuple[str, str]]:
    """Return the descriptors of this process, each with what it refers to: one that an earlier test has left can be closed late."""
    found = set()
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 -- the names alone
        with suppress(OSError):  # that of the listing itself
            found.add((name, str(Path("/dev/fd", name).readlink())))
    return found


def wait_for(met: Callable[[], bool]) -> None:
    """Wait until ``met()`` is true."""
    deadline = time.monotonic() + LIMIT_S
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.02)
