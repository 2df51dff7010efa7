"""Code that waits for input fails at once in a training, and works in a cell as usual."""

from __future__ import annotations

import bdb
import builtins
import code
import getpass
import io
import pdb
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pdb import set_trace

import pytest
from support.bench import LIMIT_S, Bench

from detjupyter.engine.output import LogSink, captured, uncaptured
from detjupyter.errors import TrialError

PROMPTS: dict[str, Callable[[], object]] = {
    "breakpoint()": lambda: breakpoint(),
    "pdb.set_trace()": lambda: pdb.set_trace(),
    "saved set_trace()": set_trace,
    "Pdb().set_trace()": lambda: pdb.Pdb().set_trace(),
    "a debugger of another package": lambda: bdb.Bdb().set_trace(),
    "post_mortem()": lambda: pdb.Pdb().cmdloop(),
    "input()": lambda: input("yes or no? "),
    "input() that a kernel restored": lambda: builtins.input.__wrapped__(),  # type: ignore[attr-defined]
    "getpass.getpass()": lambda: getpass.getpass(),
    "getpass() that a kernel restored": lambda: getpass.getpass.__wrapped__(stream=io.StringIO()),  # type: ignore[attr-defined]
    "code.interact()": lambda: code.interact(banner="", exitmsg=""),
    "sys.stdin.readline()": lambda: sys.stdin.readline(),
}

CALLS = {
    "pdb.set_trace()": "set_trace()",
    "saved set_trace()": "set_trace()",
    "Pdb().set_trace()": "set_trace()",
    "a debugger of another package": "set_trace()",
    "post_mortem()": "cmdloop()",
    "input() that a kernel restored": "input()",
    "getpass.getpass()": "getpass()",
    "getpass() that a kernel restored": "getpass()",
    "code.interact()": "interact()",
    "sys.stdin.readline()": "input()",
}
"""What the message calls it, where that is not its name here."""


@pytest.fixture(autouse=True)
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a prompt that is not refused end at once: there is nothing to read."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.delenv("PYTHONBREAKPOINT", raising=False)


@pytest.mark.filterwarnings("ignore::getpass.GetPassWarning")
@pytest.mark.parametrize("name", PROMPTS)
def test_a_prompt_in_a_training_is_an_error(name: str) -> None:
    """The error says that there is no prompt, and where there is one."""
    with captured(LogSink()), pytest.raises(TrialError) as raised:
        PROMPTS[name]()
    assert raised.value.message == f"`{CALLS.get(name, name)}` waits for input, and a training in the background has no prompt."
    assert "Call the method yourself" in str(raised.value.hint)
    assert sys.gettrace() is None or "bdb" not in repr(sys.gettrace())


def test_the_breakpoint_of_another_debugger_is_an_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """An editor's debugger puts its own function in place."""
    monkeypatch.setattr(sys, "breakpointhook", lambda: None)
    with captured(LogSink()), pytest.raises(TrialError, match="breakpoint"):
        breakpoint()


def test_a_thread_of_a_training_has_no_prompt_either() -> None:
    """The error reaches who waits for the thread."""
    with captured(LogSink()), ThreadPoolExecutor(1) as executor, pytest.raises(TrialError):
        executor.submit(input).result(LIMIT_S)


def test_a_cell_has_its_prompts_while_a_training_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """And after it: all of them are what they were."""
    stopped: list[str] = []
    monkeypatch.setattr(sys, "breakpointhook", lambda: stopped.append("breakpoint"))
    monkeypatch.setattr(bdb.Bdb, "set_trace", lambda *_: stopped.append("set_trace"))
    with captured(LogSink()), uncaptured():
        monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n1 + 1\n"))
        assert input("Go? ") == "yes"
        breakpoint()
        pdb.Pdb().set_trace()
        code.interact(banner="", exitmsg="")
    breakpoint()
    assert stopped == ["breakpoint", "set_trace", "breakpoint"]
    assert "Go? " in capsys.readouterr().out


def test_breakpoints_that_are_switched_off_stay_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """`PYTHONBREAKPOINT=0` is Python's own way to ignore them."""
    monkeypatch.setenv("PYTHONBREAKPOINT", "0")
    with captured(LogSink()):
        breakpoint()


@pytest.mark.parametrize("name", ["breakpoint()", "pdb.set_trace()", "input()"])
def test_a_training_that_asks_fails_and_can_be_stopped(bench: Bench, name: str) -> None:
    """The session tells the message, `stop()` returns, and the next training runs."""

    def ask(_: int) -> None:
        PROMPTS[name]()

    bench.adapter.on_batch = ask
    with pytest.raises(TrialError, match="has no prompt"):
        bench.session.train(batches=3, wait=True)
    assert bench.session.state == "failed"
    bench.session.stop()
    bench.adapter.on_batch = lambda _: None
    bench.session.train(batches=3, wait=True)
    assert bench.session.state == "finished"


def test_a_training_that_asks_in_a_thread_of_its_own_says_so_in_the_log(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """No code waits for the thread, so its traceback is the only message."""
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)

    def ask(_: int) -> None:
        thread = threading.Thread(target=input)
        thread.start()
        thread.join()

    bench.adapter.on_batch = ask
    bench.session.train(batches=1, wait=True)
    assert any("has no prompt" in line for line in bench.log())
