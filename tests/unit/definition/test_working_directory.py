"""Relative paths of a definition start at its root, and the kernel's working directory is not touched."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from detjupyter.definition.isolation import working_directory
from detjupyter.definition.isolation.imports import DefinitionScope

FREE = sys.platform in ("linux", "darwin")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the root of a definition that has a file next to its code."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root/vocab.txt").write_text("words")
    return tmp_path / "root"


def test_the_block_works_at_the_root_and_puts_back_what_was(root: Path) -> None:
    """Every way of opening a relative path resolves it from the root, also in a child process; afterwards everything is restored."""
    before = Path.cwd()
    read: list[str] = []

    def work() -> None:
        with working_directory.at(root):
            read.append(Path("vocab.txt").read_text())
            read.append(subprocess.run(["cat", "vocab.txt"], capture_output=True, text=True, check=True).stdout)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert read == ["words", "words"]
    assert Path.cwd() == before


def test_a_block_where_the_process_is_already_changes_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook in the directory of its definition, the usual case; code that changes the directory itself is not affected."""
    monkeypatch.chdir(root)
    with working_directory.at(root):
        os.chdir("..")
    assert Path.cwd() == root.parent


def test_a_directory_that_the_code_deleted_is_no_obstacle(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Coming back to a directory that is gone stays where it is."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    with working_directory.at(root):
        (tmp_path / "gone").rmdir()
    assert Path.cwd() == root


def test_a_kernel_whose_directory_is_gone_can_load(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The definition does not need the directory that the kernel was in."""
    (root / "model_def.py").write_text("with open('vocab.txt') as file:\n    WORDS = file.read()\n")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    scope = DefinitionScope(root)
    with scope.active():
        assert scope.import_module("model_def").WORDS == "words"
    scope.release()


@pytest.mark.skipif(not FREE, reason="threads of this platform share one working directory")
def test_a_training_thread_has_its_own(root: Path) -> None:
    """Two threads work at two roots at once, and the main thread where it was."""
    if not working_directory.threads_may_have_their_own():
        pytest.skip("this container forbids unshare")
    other = root.parent / "other"
    other.mkdir()
    (other / "vocab.txt").write_text("others")
    barrier = threading.Barrier(3, timeout=60)
    seen: dict[str, str] = {}

    def train(place: Path) -> None:
        assert working_directory.enter(place)
        barrier.wait()
        seen[place.name] = Path("vocab.txt").read_text()
        barrier.wait()

    before = Path.cwd()
    threads = [threading.Thread(target=train, args=(place,)) for place in (root, other)]
    for thread in threads:
        thread.start()
    barrier.wait()
    assert Path.cwd() == before
    barrier.wait()
    for thread in threads:
        thread.join()
    assert seen == {"root": "words", "other": "others"}


def test_another_thread_that_loads_does_not_move_the_process(root: Path) -> None:
    """A reload from the panel runs while cells run."""
    if not working_directory.threads_may_have_their_own():
        pytest.skip("threads share one working directory here")
    before, inside, release = Path.cwd(), threading.Event(), threading.Event()
    read: list[str] = []

    def load() -> None:
        with working_directory.at(root):
            inside.set()
            assert release.wait(60)
            read.append(Path("vocab.txt").read_text())

    thread = threading.Thread(target=load)
    thread.start()
    assert inside.wait(60)
    assert Path.cwd() == before
    release.set()
    thread.join()
    assert read == ["words"]


def test_where_threads_share_a_directory_open_starts_at_the_root(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the `open` of the definition resolves relative names from the root: text, bytes, paths; other values do not change."""
    monkeypatch.setattr(working_directory, "_verdict", False)
    assert not working_directory.enter(root)
    (root / "model_def.py").write_text(
        "import os, pathlib\n"
        "def read(kind):\n    with open(kind('vocab.txt')) as file:\n        return file.read()\n"
        "def absolute(path):\n    with open(path, encoding='utf-8') as file:\n        return file.read()\n"
        "def descriptor():\n    return open(os.open(os.path.join(os.path.dirname(__file__), 'vocab.txt'), os.O_RDONLY)).close()\n"
    )
    module = DefinitionScope(root).import_module("model_def")
    assert [module.read(kind) for kind in (str, os.fsencode, Path)] == ["words"] * 3
    assert module.absolute(str(root / "vocab.txt")) == "words"
    module.descriptor()
    with pytest.raises(FileNotFoundError):
        open("vocab.txt")  # noqa: PTH123, SIM115 -- the kernel's own
