from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from detjupyter.bundle import FileEntry, FileReport, Rule, scan
from detjupyter.definition import opened_files
from detjupyter.definition.usage import Usage, UsageWatch, join_from_environment, usage_report, watch_usage

FORK = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="the platform has no fork")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a definition with some data, older than any watch."""
    root = tmp_path / "digits"
    for name in ("model_def.py", "vocab.txt", "data/0.bin", "data/1.bin", "data/2.bin", "data/3.bin"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n")
        os.utime(path, (1e9, 1e9))
    return root


@pytest.fixture
def watch(root: Path) -> Iterator[UsageWatch]:
    """Return a watch on it."""
    watch = watch_usage(root)
    yield watch
    watch.close()


class Files(Dataset[Any]):
    """One file for each item."""

    def __init__(self, root: Path) -> None:
        self.paths = sorted(root.glob("data/*.bin"))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> int:
        return len(self.paths[index].read_bytes())


class TestWhoCounts:
    """The definition's threads, and no others."""

    def test_only_inside_the_block(self, root: Path, watch: UsageWatch) -> None:
        """What a cell opens before and after is its own affair."""
        (root / "data/0.bin").read_bytes()
        with watch.active():
            (root / "vocab.txt").read_bytes()
        (root / "data/1.bin").read_bytes()
        assert watch.opened() == {"vocab.txt"}

    def test_only_the_thread_that_is_marked(self, root: Path, watch: UsageWatch) -> None:
        """A cell that runs while the definition trains opens files of the same root, uncounted; each marked thread counts."""

        def train() -> None:
            with watch.active():
                (root / "data/1.bin").read_bytes()

        threads = [threading.Thread(target=(root / "data/0.bin").read_bytes), threading.Thread(target=train)]
        with watch.active():
            for thread in threads:
                thread.start()
                thread.join()
            assert watch.opened() == {"data/1.bin"}

    def test_blocks_nest(self, root: Path, watch: UsageWatch) -> None:
        """An inner block of the same watch, and of another one, ends without ending the outer."""
        other = watch_usage(root / "data")
        with watch.active():
            with watch.active(), other.active():
                (root / "data/0.bin").read_bytes()
            (root / "data/1.bin").read_bytes()
        assert watch.opened() == {"data/0.bin", "data/1.bin"}
        assert other.opened() == {"0.bin"}
        other.close()

    def test_an_error_ends_the_block(self, root: Path, watch: UsageWatch) -> None:
        """The user's code raises, and the thread is its own again."""
        with pytest.raises(KeyError), watch.active():
            raise KeyError
        (root / "vocab.txt").read_bytes()
        assert watch.opened() == frozenset()

    def test_a_closed_watch_keeps_what_it_has_and_leaves_nothing_behind(self, root: Path) -> None:
        """Also inside a block; closing twice is fine."""
        watch = watch_usage(root)
        scratch = Path(watch.environment()["DETJUPYTER_USAGE_REPORT"])
        assert scratch.is_file()
        with watch.active():
            (root / "vocab.txt").read_bytes()
            watch.close()
            (root / "data/0.bin").read_bytes()
        watch.close()
        assert watch.opened() == {"vocab.txt"}
        assert not scratch.exists()

    def test_a_forgotten_watch_takes_its_scratch_file_along(self, root: Path) -> None:
        """Without a call to close."""
        watch = watch_usage(root)
        scratch = Path(watch.environment()["DETJUPYTER_USAGE_REPORT"])
        del watch
        assert not scratch.exists()


class TestWhatCounts:
    """Regular files under the root, opened for reading."""

    def test_however_it_is_opened(self, root: Path, watch: UsageWatch, monkeypatch: pytest.MonkeyPatch) -> None:
        """By relative path, bytes, a path with dots in it, `os.open`, numpy, and torch."""
        torch.save({"a": 1}, root / "weights.pt")
        os.utime(root / "weights.pt", (1e9, 1e9))
        monkeypatch.chdir(root / "data")
        with watch.active():
            Path("../vocab.txt").read_bytes()
            Path(os.path.join(root, "data", ".", "..", "", "model_def.py")).read_bytes()  # noqa: PTH118 -- a Path would take the dots out
            open(f"{root.parent}/digits/../digits/data/3.bin", "rb").close()  # noqa: PTH123
            with open(os.fsencode(root / "data/0.bin"), "rb") as file:  # noqa: PTH123 -- a Path holds no bytes
                file.read()
            os.close(os.open("1.bin", os.O_RDONLY))
            np.fromfile("2.bin", dtype=np.uint8)
            torch.load(root / "weights.pt")
        assert watch.opened() == {"vocab.txt", "model_def.py", "data/0.bin", "data/1.bin", "data/2.bin", "data/3.bin", "weights.pt"}

    def test_a_relative_path_means_another_file_in_another_directory(
        self, root: Path, watch: UsageWatch, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The working directory may change between two of them, and a file may come where none was."""
        (root / "more").mkdir()
        for name in ("vocab.txt", "more/vocab.txt"):
            (root / name).write_text("x")
            os.utime(root / name, (1e9, 1e9))
        with watch.active():
            for directory in (root, root / "more"):
                monkeypatch.chdir(directory)
                Path("vocab.txt").read_bytes()
                with pytest.raises(FileNotFoundError):
                    Path("late.txt").read_bytes()
            assert watch.opened() == {"vocab.txt", "more/vocab.txt"}
            subprocess.run(["touch", "-d", "2001-01-01", "late.txt"], cwd=root / "more", check=True)
            Path("late.txt").read_bytes()
        assert watch.opened() == {"vocab.txt", "more/vocab.txt", "more/late.txt"}

    def test_by_any_name_of_the_root(self, root: Path, tmp_path: Path) -> None:
        """A root behind a link is known by both its names."""
        link = tmp_path / "link"
        link.symlink_to(root, target_is_directory=True)
        watch = watch_usage(link)
        with watch.active():
            (link / "vocab.txt").read_bytes()
            (root / "data/0.bin").read_bytes()
        watch.close()
        assert watch.opened() == {"vocab.txt", "data/0.bin"}

    def test_not_what_lies_elsewhere_is_no_file_or_is_not_there(self, root: Path, watch: UsageWatch, tmp_path: Path) -> None:
        """A sibling whose name begins alike, a way out by dots, a missing file, a directory, a number."""
        (tmp_path / "digits2").mkdir()
        (tmp_path / "digits2/x.txt").write_text("")
        with watch.active():
            (tmp_path / "digits2/x.txt").read_text()
            Path(f"{root}/data/../../digits2/x.txt").read_text()
            with pytest.raises(FileNotFoundError):
                (root / "missing.txt").read_text()
            directory = os.open(root / "data", os.O_RDONLY)
            os.close(directory)
            with open(os.open(os.devnull, os.O_RDONLY)) as file:  # noqa: PTH123 -- a number
                file.read()
        assert watch.opened() == frozenset()

    @pytest.mark.parametrize("mode", ["w", "a", "r+", "x"])
    def test_outputs_do_not_count_even_when_they_are_read_later(self, root: Path, watch: UsageWatch, mode: str) -> None:
        """A file that the definition writes is its own."""
        path = root / ("new.txt" if mode == "x" else "vocab.txt")
        with watch.active():
            with path.open(mode) as file:
                file.write("x")
            path.read_text()
        assert watch.opened() == frozenset()

    def test_a_cache_that_is_looked_for_and_then_made_is_an_output(self, root: Path, watch: UsageWatch) -> None:
        """The file may be written in place, written to another name and renamed, or written by C++ code that the hook does not see."""
        with watch.active():
            for name in ("plain.txt", "renamed.txt", "torch.pt"):
                with pytest.raises(FileNotFoundError):
                    (root / name).read_bytes()
            (root / "plain.txt").write_text("x")
            (root / "part").write_text("x")
            (root / "part").replace(root / "renamed.txt")
            torch.save({}, root / "torch.pt")
            for name in ("plain.txt", "renamed.txt", "torch.pt"):
                (root / name).read_bytes()
        assert watch.opened() == frozenset()

    def test_a_failing_open_fails_as_ever(self, watch: UsageWatch) -> None:
        """The hook adds no error and hides none, for any argument."""
        with watch.active():
            for name in ("a\0b", "\udcff", "x" * 5000):
                with pytest.raises((OSError, ValueError)):
                    open(name).close()  # noqa: PTH123
            with pytest.raises(TypeError):
                open(3.5).close()  # type: ignore[call-overload]  # noqa: PTH123

    def test_memory_is_bounded(self, root: Path, watch: UsageWatch, monkeypatch: pytest.MonkeyPatch) -> None:
        """A data set of many files fills the watch, and then it says that it does not know all."""
        monkeypatch.setattr(opened_files, "MAX_FILES", 2)
        assert watch.complete
        with watch.active():
            for number in range(4):
                (root / f"data/{number}.bin").read_bytes()
        assert len(watch.opened()) == 2
        assert not watch.complete

    def test_a_file_counts_once_however_often_it_is_opened(self, root: Path, watch: UsageWatch, monkeypatch: pytest.MonkeyPatch) -> None:
        """By any spelling of its path, there or not."""
        monkeypatch.setattr(opened_files, "MAX_FILES", 4)
        monkeypatch.chdir(root)
        with watch.active():
            for path in (
                "vocab.txt",
                "./vocab.txt",
                str(root / "vocab.txt"),
                f"{root}/data//../vocab.txt",
                os.fsencode(root / "vocab.txt"),
            ) * 3:
                open(path, "rb").close()  # noqa: PTH123
                with pytest.raises(FileNotFoundError):
                    open("missing.txt")  # noqa: PTH123, SIM115
        assert watch.complete
        assert watch.opened() == {"vocab.txt"}


class TestWorkers:
    """DataLoader workers open the files, the kernel wants to know."""

    @FORK
    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
    def test_forked_workers_report(self, root: Path, watch: UsageWatch) -> None:
        """Each file once, from both workers, while and after they run."""
        with watch.active():
            loader = DataLoader(Files(root), batch_size=1, num_workers=2, multiprocessing_context="fork")
            assert sum(len(batch) for _ in range(2) for batch in loader) == 8
        assert watch.opened() == {f"data/{number}.bin" for number in range(4)}
        assert Path(watch.environment()["DETJUPYTER_USAGE_REPORT"]).stat().st_size == 4 * len("rdata/0.bin\0")

    @FORK
    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
    def test_workers_that_a_cell_starts_do_not(self, root: Path, watch: UsageWatch) -> None:
        """The mark is the thread's that forks."""
        assert len(list(DataLoader(Files(root), batch_size=1, num_workers=1, multiprocessing_context="fork"))) == 4
        assert watch.opened() == frozenset()

    def test_spawned_children_report_when_they_know_where(self, root: Path, watch: UsageWatch) -> None:
        """Names with line breaks and names that are not UTF-8 are reported; files that a child writes are outputs."""
        odd = [os.fsencode(root / "data") + name for name in (b"/line\nbreak", b"/\xff.bin")]
        for path in odd:
            with open(path, "wb") as file:  # noqa: PTH123
                file.write(b"x")
            os.utime(path, (1e9, 1e9))
        code = f"""
        import os, sys, threading
        from detjupyter.definition.usage import join_from_environment
        assert join_from_environment() is join_from_environment()
        os.chdir({str(root)!r})
        open("vocab.txt").close()
        thread = threading.Thread(target=lambda: open("data/0.bin").close())
        thread.start()
        thread.join()
        open("out.txt", "w").close()
        open("out.txt").close()
        for path in {odd!r}:
            open(path).close()
        """
        subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, env={**os.environ, **watch.environment()})
        assert watch.opened() == {"vocab.txt", "data/0.bin", "data/line\nbreak", "data/\udcff.bin"}
        watch.close()
        assert len(watch.opened()) == 4

    def test_a_child_without_a_watch_joins_none(self, root: Path) -> None:
        """Nothing in the environment, or a watch that is closed."""
        watch = watch_usage(root)
        environment = watch.environment()
        watch.close()
        assert join_from_environment({}) is None
        assert join_from_environment(environment) is None

    def test_without_a_place_for_scratch_files_this_process_still_counts(
        self, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With a full or forbidden disk, the definition still loads."""
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
        watch = watch_usage(root)
        with watch.active():
            (root / "vocab.txt").read_bytes()
        assert watch.opened() == {"vocab.txt"}
        assert join_from_environment(watch.environment()) is None
        watch.close()

    @FORK
    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
    def test_a_child_outlives_the_watch(self, root: Path) -> None:
        """The child continues silently, and does not create a new file in place of the temporary file."""
        watch = watch_usage(root)
        scratch = Path(watch.environment()["DETJUPYTER_USAGE_REPORT"])
        with watch.active():
            process = multiprocessing.get_context("fork").Process(target=_open_after, args=(scratch, root / "vocab.txt"))
            process.start()
        watch.close()
        process.join(60)
        assert process.exitcode == 0
        assert not scratch.exists()


def _open_after(scratch: Path, path: Path) -> None:
    while scratch.exists():
        time.sleep(0.01)
    path.read_bytes()


def report_of(root: Path, ignored: str) -> FileReport:
    """Scan the definition with a `.detignore`."""
    (root / ".detignore").write_text(ignored)
    return scan(root)


class TestReport:
    """Used against shipped."""

    def test_what_is_used_and_left_out(self, root: Path) -> None:
        """A module and a directory are reported with the line that leaves them out, one sentence each; files that ship are not."""
        (root / "layers.py").write_text("")
        report = report_of(root, "# mine\n\nlay*\ndata/\n")
        usage = usage_report({"data/0.bin", "vocab.txt", "layers.py"}, {"layers.py", "model_def.py"}, report)
        assert [(file.path, file.how, file.rule and file.rule.line) for file in usage.unshipped] == [
            ("data/0.bin", "opened", 4),
            ("layers.py", "imported", 3),
        ]
        assert (
            str(usage.unshipped[1])
            == "layers.py was imported but `.detignore` line 3 `lay*` leaves it out: it would be missing on another machine."
        )
        assert usage.sentences() == tuple(map(str, usage.unshipped))

    def test_a_directory_of_files_is_one_sentence(self, root: Path) -> None:
        """Not one for each of its files."""
        usage = usage_report({f"data/{number}.bin" for number in range(4)}, set(), report_of(root, "data/\n"))
        assert len(usage.unshipped) == 4
        assert usage.sentences() == (
            "4 files in data/ were opened but `.detignore` line 1 `data/` leaves it out: they would be missing on another machine.",
        )

    def test_rules_that_are_not_the_users(self, root: Path, tmp_path: Path) -> None:
        """A default rule is named as one; what never ships says why."""
        (tmp_path / "outside.txt").write_text("")
        (root / "link.txt").symlink_to(tmp_path / "outside.txt")
        (root / ".idea").mkdir()
        (root / ".idea/words.txt").write_text("")
        first, second = usage_report({".idea/words.txt", "link.txt"}, set(), scan(root)).unshipped
        assert (
            str(first) == ".idea/words.txt was opened but the default rule `.idea/` leaves it out: it would be missing on another machine."
        )
        assert str(second).startswith("link.txt was opened but it never ships (")

    def test_through_a_link_to_a_directory(self, root: Path, tmp_path: Path) -> None:
        """The link does not ship, so files behind it do not ship either."""
        (root / "more").symlink_to(shutil.copytree(root / "data", tmp_path / "more"), target_is_directory=True)
        (file,) = usage_report({"more/0.bin"}, set(), scan(root)).unshipped
        assert (file.path, file.entry) == ("more/0.bin", "more")

    def test_a_single_file_ships_alone(self, root: Path) -> None:
        """Other files that it opens or imports are left out."""
        usage = usage_report({"vocab.txt"}, {"model_def.py"}, scan(root / "model_def.py"))
        assert [str(file) for file in usage.unshipped] == [
            "vocab.txt was opened but the definition is a single file, which ships alone: it would be missing on another machine."
        ]
        assert usage.unused == ()

    @pytest.mark.parametrize(
        "path",
        [
            "__pycache__/a.cpython-311.pyc",
            "a.pyc",
            ".detignore",
            "env/lib/python3.11/site-packages/numpy/x.py",
            ".detjupyter/run.db",
            "gone.txt",
        ],
    )
    def test_some_files_never_count_as_used(self, root: Path, path: str) -> None:
        """Byte code, the rules themselves, installed packages, our own folder, and what the scan did not see."""
        report = report_of(root, "env\n*.pyc\ngone\n")
        assert usage_report({path}, {path}, report).unshipped == ()

    def test_the_environment_of_this_python_inside_the_root_never_counts(self) -> None:
        """Its standard library is not the definition's."""
        root = Path(sys.prefix).parent
        name = Path(sys.prefix).name
        report = FileReport(root, [FileEntry(f"{name}/", "directory", 0, False, Rule(".detignore", 1, name))])
        assert usage_report({f"{name}/lib/json/decoder.py"}, set(), report) == Usage()

    def test_what_ships_and_was_never_used(self, root: Path) -> None:
        """The largest first; files that users, Determined or Python's packaging read are not reported."""
        for name in ("README.md", "LICENSE", "notes.md", "const.yaml", "look.ipynb", "startup-hook.sh", "nets/__init__.py", ".gitignore"):
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text("x" * 500)
        (root / "old.csv").write_text("x" * 900)
        (root / "b.csv").write_text("x" * 20)
        (root / "a.csv").write_text("x" * 20)
        report = report_of(root, "data/\n")
        usage = usage_report({"vocab.txt"}, {"model_def.py"}, report)
        assert [(file.path, file.size_bytes) for file in usage.unused] == [("old.csv", 900), ("a.csv", 20), ("b.csv", 20)]
        assert usage_report({"vocab.txt"}, {"model_def.py"}, report, complete=False).unused == ()
