"""Two containers with the same host name that share a history: each has its own pids."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.sqlite import write_sql

from detjupyter.protocol.states import State
from detjupyter.store import open_store
from detjupyter.store.owner import REMOTE_SILENCE_S

ENTER = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]

OWNER = """
import os, sys
from pathlib import Path
sys.path.append(sys.argv[2])
from support.runs import make_run
from detjupyter.store import open_store
from detjupyter.store.leftovers import partial_name
path = Path(sys.argv[1])
store = open_store(path)
store.create_run(make_run())
half = path.parent / "checkpoints" / "r1" / partial_name("r1-7")
half.mkdir(parents=True)
(half / "state_dict.pth").write_bytes(b"half")
print(os.getpid(), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the history is."""
    return tmp_path / "home" / "runs.sqlite"


@pytest.fixture
def owner(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a process with pids of its own that has a live run and is writing a checkpoint."""
    if shutil.which("unshare") is None or subprocess.run([*ENTER, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system does not allow namespaces")
    command = [*ENTER, sys.executable, "-c", OWNER, str(path), str(Path(__file__).parents[1])]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert int(process.stdout.readline()) < 10  # the pid inside
    yield process
    if process.poll() is None:
        process.communicate("\n", timeout=60)


@pytest.mark.usefixtures("owner")
def test_a_live_run_of_the_other_container_is_left_alone(path: Path) -> None:
    """Its pid is another process here, or none; its unfinished checkpoint is not deleted."""
    store = open_store(path)
    assert store.run("r1").state is State.RUNNING
    assert set(store.run_states().values()) == {State.RUNNING}
    assert [one.name for one in (path.parent / "checkpoints" / "r1").iterdir()] == [".r1-7.partial"]
    store.close()


def test_one_that_is_silent_is_interrupted(path: Path, owner: subprocess.Popen[str]) -> None:
    """After minutes. Only what nothing has changed in for as long is deleted."""
    owner.communicate("\n", timeout=60)
    directory = path.parent / "checkpoints" / "r1"
    old, new = directory / ".r1-7.partial", directory / ".r1-8.partial"
    new.mkdir()
    (new / "state_dict.pth").write_bytes(b"half")
    before = time.time() - REMOTE_SILENCE_S - 10
    for entry in (old / "state_dict.pth", old, new):
        os.utime(entry, (before, before))
    write_sql(path, f"UPDATE runs SET updated_at = {before}")
    store = open_store(path)
    assert store.run("r1").state is State.INTERRUPTED
    assert [one.name for one in directory.iterdir()] == [new.name]
    store.close()
