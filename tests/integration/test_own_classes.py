"""Classes and functions of a definition in saved state: those of the load that restores it, wherever and whenever that is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from support.definition import fitting

import detjupyter as dj
from detjupyter.errors import CheckpointError, UntrustedCheckpointError

if TYPE_CHECKING:
    from support.definition import Definition

KINDS = """
import enum
from dataclasses import dataclass
from typing import NamedTuple


class Mode(enum.Enum):
    MIN = "min"
    MAX = "max"


@dataclass
class Best:
    value: float


class Pair(NamedTuple):
    one: int
    two: int


class Outer:
    class Inner:
        pass


def decay(batch):
    return 0.9**batch
"""
HOLDING = fitting(
    "HoldingTrial",
    """
self.model = context.wrap_model(nn.Linear(1, 1))
self.optimizer = context.wrap_optimizer(OwnOptimizer(self.model.parameters(), lr=0.1))
self.keep = Keep()
""",
    top="""
import kinds


class Local:
    pass


class Keep(pytorch.PyTorchCallback):
    def __init__(self):
        self.state = self.begin()

    def begin(self):
        inner = kinds.Outer.Inner()
        return {
            "mode": kinds.Mode.MIN, "best": kinds.Best(9.0), "pair": kinds.Pair(1, 2), "inner": inner, "again": inner, "local": Local(),
            "class": kinds.Best, "function": kinds.decay, "tensor": torch.ones(2),
        }

    def state_dict(self):
        return self.state

    def load_state_dict(self, state):
        self.state = state

    def check(self):
        state = self.state
        assert state["mode"] is kinds.Mode.MIN
        assert type(state["best"]) is kinds.Best and state["best"].value == 9.0
        assert type(state["pair"]) is kinds.Pair and state["pair"].two == 2
        assert type(state["inner"]) is kinds.Outer.Inner and state["again"] is state["inner"]
        assert type(state["local"]) is Local
        assert state["class"] is kinds.Best and state["function"] is kinds.decay
        assert state["tensor"].tolist() == [1, 1]


class OwnOptimizer(torch.optim.SGD):
    def state_dict(self):
        return {**super().state_dict(), "mode": kinds.Mode.MAX}

    def load_state_dict(self, state):
        state = dict(state)
        self.loaded = state.pop("mode")
        super().load_state_dict(state)
""",
    methods="""
def check(self):
    self.keep.check()
    assert self.optimizer.loaded is kinds.Mode.MAX

def build_callbacks(self):
    return {"keep": self.keep}
""",
)


@pytest.fixture
def holding(define: Callable[..., Definition]) -> Definition:
    """Write a definition whose callback and optimizer have objects, classes and functions of its modules in their state."""
    return define("holding", model_def=HOLDING, kinds=KINDS)


@pytest.fixture
def saved(holding: Definition) -> Path:
    """Save a checkpoint, and close the session."""
    session = holding.load()
    session.step(2)
    path = Path(session.checkpoint().path)
    session.close()
    return path


class TestItIsTheRestoringLoads:
    """``is`` and ``isinstance`` hold."""

    def test_in_a_second_session_beside_the_first(self, holding: Definition) -> None:
        """The classes of the first one are alive, too."""
        first, second = holding.load(name="first"), holding.load(name="second")
        first.step(2)
        second.restore(first.checkpoint().path)
        second.trial.check()

    def test_after_a_reload_and_an_edit(self, holding: Definition) -> None:
        """The state is taken over without a file."""
        session = holding.load()
        session.step(2)
        session.reload()
        session.trial.check()
        holding.edit("return 0.9**batch", "return 0.8**batch", name="kinds")
        session.reload()
        session.trial.check()
        assert session.trial.keep.state["function"](1) == 0.8

    def test_after_a_rename(self, holding: Definition, saved: Path, tmp_path: Path) -> None:
        """The directory has another name, and so has its package."""
        moved = tmp_path / "elsewhere" / "renamed"
        shutil.copytree(holding.root, moved)
        shutil.rmtree(holding.root)
        session = dj.load(path=moved, seed=1, device="cpu")
        session.restore(saved)
        session.trial.check()

    def test_when_the_checkpoint_is_loaded_alone(self, saved: Path) -> None:
        """From the code in it; the state of callbacks is read, and not used."""
        trial = dj.load_checkpoint(saved, device="cpu", trust=True)
        assert type(trial).__name__ == "HoldingTrial"

    def test_in_another_process(self, holding: Definition, saved: Path, tmp_path: Path) -> None:
        """In a renamed directory, and alone."""
        moved = tmp_path / "renamed"
        shutil.copytree(holding.root, moved)
        script = """
import sys
import detjupyter as dj
if __name__ == "__main__":
    dj.load_checkpoint(sys.argv[2], device="cpu", trust=True)
    session = dj.load(path=sys.argv[1], device="cpu", seed=1)
    session.restore(sys.argv[2], trust=True)
    session.trial.check()
    session.step(1)
    print("checked", session.batches_trained)
"""
        file = tmp_path / "script.py"
        file.write_text(script, encoding="utf-8")
        done = subprocess.run([sys.executable, str(file), str(moved), str(saved)], capture_output=True, text=True, timeout=120, check=False)
        assert "checked 3" in done.stdout, done.stderr

    def test_for_a_definition_of_one_file(self, define: Callable[..., Definition], tmp_path: Path) -> None:
        """The saved names do not contain its name."""
        merged = KINDS + HOLDING.replace("import kinds\n", "import sys\nkinds = sys.modules[__name__]\n")
        one = define("single", one=merged).root / "one.py"
        session = dj.load(path=one, seed=1, device="cpu")
        session.step(2)
        saved = session.checkpoint()
        other = tmp_path / "another.py"
        shutil.copy(one, other)
        session = dj.load(path=other, seed=1, device="cpu")
        session.restore(saved.path)
        session.trial.check()


def test_a_cluster_finds_the_names(saved: Path, holding: Definition, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the definition on Python's path, as in a container, torch alone reads the state."""
    monkeypatch.syspath_prepend(holding.root)
    state = torch.load(saved / "state_dict.pth", weights_only=False)
    assert type(state["callbacks"]["keep"]["best"]).__module__ == "kinds"
    for name in ("kinds", "model_def"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_the_names_of_a_cluster_are_found(saved: Path, holding: Definition, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state that was pickled with the definition on Python's path."""
    monkeypatch.syspath_prepend(holding.root)
    file = saved / "state_dict.pth"
    state = torch.load(file, weights_only=False)
    torch.save(state, file)
    for name in ("kinds", "model_def"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.undo()
    (saved / "detjupyter.json").unlink()
    (saved / "metadata.json").write_text('{"steps_completed": 2}')
    session = holding.load()
    session.restore(saved, trust=True)
    session.trial.check()


def test_a_class_that_the_code_lacks_is_named(saved: Path, holding: Definition) -> None:
    """The restore is refused, and the trial keeps its state."""
    holding.edit("class Pair", "class Couple", name="kinds")
    holding.edit("kinds.Pair(1, 2)", "None")
    session = holding.load()
    with pytest.raises(CheckpointError, match="Pair"):
        session.restore(saved)
    assert session.batches_trained == 0


def test_reading_them_needs_trust_as_before(saved: Path, holding: Definition, tmp_path: Path) -> None:
    """Unless one of the user's own kernels has signed the checkpoint."""
    moved = tmp_path / "moved"
    shutil.copytree(saved, moved)
    manifest = json.loads((moved / "detjupyter.json").read_text())
    del manifest["signature"]
    (moved / "detjupyter.json").write_text(json.dumps(manifest))
    with pytest.raises(UntrustedCheckpointError):
        holding.load().restore(moved)


def test_an_edit_that_removes_a_class_keeps_the_old_object(holding: Definition) -> None:
    """In a reload: there is no other class for it."""
    session = holding.load()
    session.step(1)
    holding.edit("class Local:", "class Other:")
    holding.edit('"local": Local(),', "")
    session.reload()
    assert type(session.trial.keep.state["local"]).__name__ == "Local"
