"""Definitions that are wrong, strange or huge: one clear error or a note, nothing lost, the next load works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import detjupyter as dj
from detjupyter.definition import model_definition
from detjupyter.errors import DefinitionTooLargeError, EntrypointError, TrialError

HUGE_BYTES = 1 << 30


@pytest.fixture(autouse=True)
def closed() -> Any:
    """Leave no session behind."""
    yield
    for session in dj.sessions():
        session.close()


@pytest.mark.parametrize(
    ("entrypoint", "what"),
    [
        ("model def:LineTrial", "contains a space"),
        (" : ", "has no class after the colon"),
        ("model_def:", "has no class after the colon"),
        ("model_def:LineTrial:LineTrial", "has more than one colon"),
        ("nets:LineTrial", "There is no 'LineTrial' in nets"),
        ("empty:LineTrial", "There is no 'LineTrial' in empty"),
    ],
)
def test_entrypoints_that_lead_nowhere(line: Any, entrypoint: str, what: str) -> None:
    """Malformed in each way, or a package (with or without `__init__.py`) that has no such name: what is wrong, and what there is."""
    for name in ("nets/__init__.py", "empty/part.py"):
        (line.root / name).parent.mkdir()
        (line.root / name).write_text("")
    with pytest.raises(EntrypointError) as caught:
        line.load(entrypoint)
    assert what in str(caught.value)
    assert caught.value.hint
    line.load("model_def:LineTrial")


def test_the_error_about_modules_that_import_each_other_says_what_to_do(line: Any) -> None:
    """Python's sentence with the user's names, and the way out."""
    line.write(a="from b import B\nA = 1\n", b="from a import A\nB = 1\n")
    line.edit("import torch\n", "import torch\nimport a\n")
    with pytest.raises(TrialError) as caught:
        line.load()
    assert "cannot import name 'A' from partially initialized module 'a'" in caught.value.exception
    assert "Modules import each other." in str(caught.value)


@pytest.mark.parametrize("name", ["random", "test", "statistics", "numpy"])
def test_a_module_named_like_an_installed_one_wins_inside_only(line: Any, name: str) -> None:
    """The definition's own inside, everybody else's outside, and a note on the card."""
    line.write(**{name: "OWN = 42\n"})
    line.edit("import torch\n", f"import {name} as own\nimport torch\n")
    line.edit('return {"loss": loss}', 'return {"loss": loss, "own": own.OWN}')
    session = line.load()
    session.train(batches=2, wait=True)
    assert set(session.metrics("own")[1]) == {42}
    assert any(f"`{name}` hides the installed module" in note for note in session.card().notes)
    assert not hasattr(__import__(name), "OWN")


def test_a_detignore_of_a_hundred_thousand_lines(line: Any) -> None:
    """It is read like any other."""
    lines = "".join(f"/data/{number:06d}.csv\n*.t{number}\n" for number in range(50_000))
    (line.root / ".detignore").write_text(lines + "left_out.py\n")
    line.write(left_out="")
    card = line.load().card()
    assert card.included_files == 1
    assert card.excluded_entries == 2


def test_patterns_that_are_none_are_named_on_the_card(line: Any) -> None:
    """With their line; as in git they match nothing."""
    (line.root / ".detignore").write_text("*.csv\nx[[:nonsense:]]\nbroken\\\n")
    notes = line.load().card().file_notes
    assert [note for note in notes if ".detignore line 2" in note]
    assert [note for note in notes if ".detignore line 3" in note]


def test_a_directory_of_too_many_paths_is_asked_about_first(line: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """For `/` or a home directory the user confirms first that the whole directory is meant. Paths that are left out do not count."""
    monkeypatch.setattr(model_definition, "MOST_PATHS", 500)
    (line.root / "data").mkdir()
    for number in range(2000):
        (line.root / f"data/{number}").touch()
    with pytest.raises(DefinitionTooLargeError, match="more than 500 paths") as caught:
        line.load()
    assert "any_size=True" in str(caught.value)
    assert line.load(any_size=True).card().included_files == 2001
    (line.root / ".detignore").write_text("data/\n")
    assert line.load().card().included_files == 1


def test_a_file_larger_than_the_limit_is_never_read_into_memory(line: Any) -> None:
    """It is counted by its size; loading, hashing and the card take no more memory than without it."""
    pytest.importorskip("resource")
    with (line.root / "weights.bin").open("wb") as file:
        file.truncate(HUGE_BYTES)
    (line.root / ".detignore").write_text("# nothing\n")
    code = (
        "import resource, sys, torch, detjupyter as dj\n"
        f"resource.setrlimit(resource.RLIMIT_DATA, ({HUGE_BYTES // 2}, {HUGE_BYTES // 2}))\n"
        "report = dj.ModelDefinition(sys.argv[1]).files()\n"
        "print(report.total_bytes, len(report.hash))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(line.root)], capture_output=True, text=True, check=True)
    total, length = map(int, done.stdout.split())
    assert total > HUGE_BYTES
    assert length == 64


def test_a_read_only_directory_loads_and_trains(line: Any, tmp_path: Path) -> None:
    """A user without write permission loads and trains, and nothing is written next to the code."""
    home = tmp_path / "home"
    home.mkdir()
    line.root.chmod(0o555)
    code = (
        "import os, sys\n"
        "assert not os.access(sys.argv[1], os.W_OK)\n"
        "import detjupyter as dj\n"
        "session = dj.load(path=sys.argv[1], device='cpu', seed=1)\n"
        "session.train(batches=3, wait=True)\n"
        "print(session.batches_trained, session.run.code['model_def.py'][:7])\n"
        "session.close()\n"
    )
    environment = {**os.environ, "DETJUPYTER_HOME": str(home / "store"), "HOME": str(home)}
    # The superuser may write everywhere, unless this is taken from it.
    without = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []
    command = [*without, sys.executable, "-c", code, str(line.root)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=home)
    line.root.chmod(0o755)
    assert done.stdout == "3 b'\\nimport'\n", done.stderr
    assert sorted(path.name for path in line.root.iterdir()) == ["model_def.py"]


def test_one_python_file_is_a_whole_definition(line: Any, tmp_path: Path) -> None:
    """The entrypoint has an empty module, and the class is in the file; only the file ships, and files next to it cannot be imported."""
    (line.root / "model_def.py").rename(tmp_path / "alone.py")
    (tmp_path / "beside.py").write_text("")
    session = dj.load(":LineTrial", path=tmp_path / "alone.py", device="cpu", seed=1)
    session.train(batches=2, wait=True)
    assert (session.card().included_files, session.card().definition) == (1, "alone")
    assert list(session.run.code) == ["alone.py"]
