"""`startup-hook.sh`: run in bash, its output reported line by line, its exported variables set."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.waiting import wait_until

from detjupyter.definition import ModelDefinition
from detjupyter.definition.startup_hook import find_hook, run_hook
from detjupyter.errors import StartupHookError


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Restore the environment."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def hook(root: Path, text: str) -> Path:
    """Write a hook."""
    path = root / "startup-hook.sh"
    path.write_text(text)
    return path


def test_it_is_found_at_the_root_only(tmp_path: Path) -> None:
    """A directory's own, never one further down, and none of a single file."""
    assert find_hook(tmp_path) is None
    (tmp_path / "sub").mkdir()
    hook(tmp_path / "sub", "")
    assert ModelDefinition(tmp_path).startup_hook is None
    path = hook(tmp_path, "")
    (tmp_path / "model.py").write_text("")
    assert ModelDefinition(tmp_path).startup_hook == path
    assert ModelDefinition(tmp_path / "model.py").startup_hook is None


def test_what_it_prints_is_reported_as_it_comes_and_what_it_exports_counts(tmp_path: Path) -> None:
    """Standard output and errors, the last line without a newline too; exported variables with any value, also after `exit 0`."""
    text = "echo here: $PWD\necho oops >&2\nexport WORDS='a b\nc' EMPTY=\nlocal_only=1\nprintf end\nexit 0\n"
    reported: list[str] = []
    result = run_hook(hook(tmp_path, text), reported.append)
    assert reported == [f"here: {tmp_path}", "oops", "end"] == result.output.split("\n")
    assert result.exported == ("EMPTY", "WORDS")
    assert (os.environ["WORDS"], os.environ["EMPTY"]) == ("a b\nc", "")
    assert "local_only" not in os.environ


def test_one_that_fails_changes_nothing_and_shows_its_last_lines(tmp_path: Path) -> None:
    """The status, the end of the output, the way on; no variable is taken over."""
    text = "for i in $(seq 40); do echo line $i; done\nexport LOST=1\nexit 3\n"
    with pytest.raises(StartupHookError) as caught:
        run_hook(hook(tmp_path, text))
    assert "startup-hook.sh ended with status 3." in str(caught.value)
    assert "line 40" in str(caught.value)
    assert "line 1\n" not in str(caught.value)
    assert "LOST" not in os.environ


def test_what_it_leaves_running_does_not_hold_it_up(tmp_path: Path) -> None:
    """A server that it starts keeps the pipe open; the hook ends when its shell does."""
    result = run_hook(hook(tmp_path, "sleep 600 &\necho $!\nexec >/dev/null 2>&1\n"))
    pid = int(result.output)
    os.kill(pid, 0)
    os.kill(pid, 9)


_STUBBORN = "(trap '' TERM; touch deaf; exec sleep 600) &\nuntil [ -e deaf ]; do sleep 0.01; done\necho $!\nwait\n"


@pytest.mark.parametrize("script", ["sleep 600 & echo $!\nwait\n", _STUBBORN], ids=["a child", "a child deaf to SIGTERM"])
def test_an_interrupt_ends_it_and_what_it_started(script: str, tmp_path: Path) -> None:
    """No process continues in the background, even if it would outlive the shell."""
    path = hook(tmp_path, script)
    pids: list[int] = []

    def tell(line: str) -> None:
        pids.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_hook(path, tell)
    wait_until(lambda: not is_running(pids[0]), "the end of what it started")


def is_running(pid: int) -> bool:
    """Return whether a process runs; one that has ended, and whose end was not taken note of yet, does not."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_without_bash_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A platform without bash gets a sentence, not a traceback."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StartupHookError, match="needs bash"):
        run_hook(hook(tmp_path, ""))
