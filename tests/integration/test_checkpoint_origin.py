"""A checkpoint is trusted for its origin, not for its place: before the user is asked, nothing of a foreign one runs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.definition import LINE, Definition
from support.layouts import saved_state
from support.waiting import LIMIT_S

from detjupyter.engine.checkpoints.signature import KEY
from detjupyter.errors import CheckpointError, UntrustedCheckpointError
from detjupyter.protocol.commands import RestoreListed
from detjupyter.protocol.origins import Origin
from detjupyter.session.saved_trial import load_checkpoint
from detjupyter.store.location import home

pytestmark = pytest.mark.filterwarnings("ignore:.*weights_only")


CALLBACKS = """

class First(PyTorchCallback):
    best = 0

    def state_dict(self):
        return {"best": self.best}

    def load_state_dict(self, state):
        self.best = state["best"]


class Second(First):
    def load_state_dict(self, state):
        if state["best"] == 0:
            raise KeyError("nothing is best")


class Called(LineTrial):
    def build_callbacks(self):
        self.first, self.second = First(), Second()
        return {"first": self.first, "second": self.second}
"""


class Runs:
    """An object whose unpickling writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.target),)


def saved_by(definition: Definition) -> tuple[Any, Path]:
    """Return a session that has trained two batches, and the directory of its checkpoint."""
    session = definition.load()
    session.step(2)
    return session, Path(session.checkpoint().path)


def rewrite(directory: Path, path: str, content: Callable[[Path], object]) -> None:
    """Replace one file of a checkpoint, and correct its hash in the manifest."""
    content(directory / path)
    data = (directory / path).read_bytes()
    manifest = directory / "detjupyter.json"
    fields = json.loads(manifest.read_text())
    fields["files"][path] = {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
    manifest.write_text(json.dumps(fields))


@pytest.mark.parametrize("place", ["in its own place", "at another place in the history"])
def test_a_state_that_was_exchanged_is_asked_about(line: Definition, tmp_path: Path, place: str) -> None:
    """With its hash corrected; neither a restore nor a load runs what it contains."""
    session, directory = saved_by(line)
    if place != "in its own place":
        directory = Path(shutil.copytree(directory, home() / "checkpoints" / "downloaded"))
    state = saved_state(session.checkpoint()) | {"callbacks": {"mine": Runs(tmp_path / "ran")}}
    rewrite(directory, "state_dict.pth", lambda file: torch.save(state, file))
    for use in (session.restore, load_checkpoint):
        with pytest.raises(UntrustedCheckpointError, match="signature does not match") as raised:
            use(directory)
        assert "trust=True" in (raised.value.hint or "")
    assert not (tmp_path / "ran").exists()
    assert session.batches_trained == 2


def test_a_view_restores_only_what_needs_no_trust(line: Definition, tmp_path: Path) -> None:
    """The button of the panel names a checkpoint of the history; if it was exchanged, the answer says how to trust it, and nothing runs."""
    session, directory = saved_by(line)
    state = saved_state(session.checkpoint()) | {"callbacks": {"mine": Runs(tmp_path / "ran")}}
    rewrite(directory, "state_dict.pth", lambda file: torch.save(state, file))
    with pytest.raises(UntrustedCheckpointError, match="signature does not match") as raised:
        session.send(RestoreListed(directory.name), Origin.PANEL).result(LIMIT_S)
    assert "trust=True" in (raised.value.hint or "")
    assert not (tmp_path / "ran").exists()
    assert session.batches_trained == 2


def test_code_that_was_exchanged_is_asked_about(line: Definition, tmp_path: Path) -> None:
    """It runs after the question, not before."""
    _, directory = saved_by(line)
    extra = f"\nimport pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n"
    code = directory / "code" / "model_def.py"
    text = code.read_text() + extra
    code.unlink()  # it may be a hard link
    rewrite(directory, "code/model_def.py", lambda file: file.write_text(text))
    with pytest.raises(UntrustedCheckpointError, match="would run the code in it"):
        load_checkpoint(directory, device="cpu")
    assert not (tmp_path / "ran").exists()
    load_checkpoint(directory, device="cpu", trust=True)
    assert (tmp_path / "ran").exists()


def test_a_file_that_was_added_is_asked_about(line: Definition) -> None:
    """A module next to the code could replace one that the code imports."""
    _, directory = saved_by(line)
    (directory / "code" / "torch.py").write_text("raise SystemExit")
    with pytest.raises(UntrustedCheckpointError, match=r"does not list code/torch\.py"):
        load_checkpoint(directory, device="cpu")


@pytest.mark.skipif(sys.platform == "win32", reason="no rights of this kind there")
def test_one_that_others_can_write_is_asked_about(line: Definition) -> None:
    """Between the comparison with the hashes and the reading they could exchange a file."""
    _, directory = saved_by(line)
    directory.chmod(0o777)
    with pytest.raises(UntrustedCheckpointError, match="other users can write to"):
        load_checkpoint(directory, device="cpu")
    directory.chmod(0o700)
    assert load_checkpoint(directory, device="cpu") is not None


@pytest.mark.skipif(sys.platform == "win32", reason="no rights of this kind there")
def test_one_in_a_directory_in_which_others_can_rename_is_asked_about(line: Definition, tmp_path: Path) -> None:
    """They could exchange the whole checkpoint after it was verified; in a directory like /tmp they cannot."""
    _, directory = saved_by(line)
    above = tmp_path / "above"
    shutil.copytree(directory, above / "run" / directory.name).chmod(0o700)
    above.chmod(0o777)
    with pytest.raises(UntrustedCheckpointError, match=f"other users can write to {above}$|other users can write to {above}\\."):
        load_checkpoint(above / "run" / directory.name, device="cpu")
    above.chmod(0o1777)
    assert load_checkpoint(above / "run" / directory.name, device="cpu") is not None


def test_a_link_in_the_path_is_followed_once(line: Definition, tmp_path: Path) -> None:
    """The checkpoint that it leads to is the one that is verified and loaded; a link in the checkpoint is asked about."""
    session, directory = saved_by(line)
    link = tmp_path / "link"
    link.symlink_to(directory)
    assert load_checkpoint(link, device="cpu") is not None
    session.restore(link)
    (directory / "code" / "extra").symlink_to(tmp_path)
    with pytest.raises(UntrustedCheckpointError, match="extra is a link"):
        load_checkpoint(link, device="cpu")


def test_a_signed_manifest_vouches_only_for_its_own_files(line: Definition, tmp_path: Path) -> None:
    """A manifest from another checkpoint, or with a file taken out of its list, does not make other files trusted."""
    session, directory = saved_by(line)
    session.step(1)
    other = Path(session.checkpoint().path)
    manifest = directory / "detjupyter.json"
    kept = manifest.read_text()
    shutil.copy(other / "detjupyter.json", manifest)
    with pytest.raises(CheckpointError, match="differs from what was written"):
        load_checkpoint(directory, device="cpu")
    fields = json.loads(kept)
    del fields["files"]["code/model_def.py"]
    manifest.write_text(json.dumps(fields))
    with pytest.raises(UntrustedCheckpointError, match="signature does not match"):
        load_checkpoint(directory, device="cpu")
    manifest.write_text(kept)
    for _ in range(2):  # importing the code adds no file to it
        assert load_checkpoint(directory, device="cpu") is not None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the platform has no pipes")
@pytest.mark.parametrize("name", ["detjupyter.json", "state_dict.pth", "metadata.json"])
def test_a_pipe_in_a_checkpoint_is_not_waited_for(line: Definition, name: str) -> None:
    """Reading it would block the engine's thread forever."""
    session, directory = saved_by(line)
    (directory / name).unlink()
    os.mkfifo(directory / name)
    manifest = directory / "detjupyter.json"
    if manifest.is_file():
        fields = json.loads(manifest.read_text())
        fields["files"][name]["size_bytes"] = 0
        manifest.write_text(json.dumps(fields))
    for use in (session.restore, load_checkpoint):
        with pytest.raises(CheckpointError):
            use(directory)


def test_one_without_a_signature_is_asked_about(line: Definition) -> None:
    """As all checkpoints from before signatures."""
    _, directory = saved_by(line)
    manifest = directory / "detjupyter.json"
    fields = json.loads(manifest.read_text())
    del fields["signature"]
    manifest.write_text(json.dumps(fields))
    with pytest.raises(UntrustedCheckpointError, match="older versions"):
        load_checkpoint(directory, device="cpu")
    assert load_checkpoint(directory, device="cpu", trust=True) is not None


@pytest.mark.skipif(sys.platform == "win32", reason="no rights of this kind there")
def test_only_its_user_can_read_the_key(line: Definition) -> None:
    """It is a file of 32 bytes, and stays the same."""
    saved_by(line)
    key = (home() / KEY).read_bytes()
    assert ((home() / KEY).stat().st_mode & 0o777, len(key)) == (0o600, 32)
    saved_by(line)
    assert (home() / KEY).read_bytes() == key


@pytest.mark.parametrize("what", ["a directory", "cut off", "readable by others", "a link"])
def test_without_a_usable_key_a_checkpoint_is_written_all_the_same(line: Definition, tmp_path: Path, what: str) -> None:
    """One warning says why it is not signed, and so does the question."""
    key = home() / KEY
    key.parent.mkdir(parents=True, exist_ok=True)
    if what == "a directory":
        key.mkdir()
    elif what == "a link":  # another user who made it could know the file that it leads to
        (tmp_path / "known").write_bytes(bytes(32))
        (tmp_path / "known").chmod(0o600)
        key.symlink_to(tmp_path / "known")
    else:
        key.write_bytes(b"short" if what == "cut off" else bytes(32))
        key.chmod(0o640 if what == "readable by others" else 0o600)
    session, directory = saved_by(line)
    session.checkpoint()
    assert sum("The checkpoint is not signed" in entry.text for entry in session.run.log()) == 1
    session.restore(directory)  # it contains no more than tensors
    with pytest.raises(UntrustedCheckpointError, match="no signature"):
        load_checkpoint(directory, device="cpu")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_checkpoints_that_cannot_be_signed_are_named_once(line: Definition) -> None:
    """The warning is about the file, not about the directory of each checkpoint."""
    line.edit(
        "    def train_batch",
        """    def build_callbacks(self):
        import os
        from detjupyter.pytorch import PyTorchCallback

        class Linking(PyTorchCallback):
            def on_checkpoint_write_end(self, checkpoint_dir):
                os.symlink(os.devnull, os.path.join(checkpoint_dir, "nothing"))

        return {"linking": Linking()}

    def train_batch""",
    )
    session, _ = saved_by(line)
    session.checkpoint()
    texts = [entry.text for entry in session.run.log() if "The checkpoint is not signed" in entry.text]
    assert len(texts) == 1
    assert "not signed: nothing is a link." in texts[0]


def test_a_deleted_key_is_named_and_made_again(line: Definition) -> None:
    """The next checkpoint is signed with a new key, which the earlier one does not match."""
    session, directory = saved_by(line)
    (home() / KEY).unlink()
    with pytest.raises(UntrustedCheckpointError, match="there is no key"):
        load_checkpoint(directory, device="cpu")
    assert load_checkpoint(session.checkpoint(), device="cpu") is not None
    with pytest.raises(UntrustedCheckpointError, match="does not match the key"):
        load_checkpoint(directory, device="cpu")


def test_processes_that_create_the_key_at_once_agree(tmp_path: Path) -> None:
    """All of them sign with the one that remains."""
    program = """
import sys
from pathlib import Path
from detjupyter.engine.checkpoints.manifest import Manifest
from detjupyter.engine.checkpoints.signature import signature_for
print("ready", flush=True)
sys.stdin.readline()
print(signature_for(b"text", Path(sys.argv[1]), Manifest("run", 1, 1, "Trial"), say=sys.exit), flush=True)
"""
    environment = {**os.environ, "DETJUPYTER_HOME": str(tmp_path / "home")}
    place = tmp_path / "checkpoint"
    place.mkdir(mode=0o700)
    command = [sys.executable, "-c", program, str(place)]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(4)]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    signatures = {child.communicate()[0].strip() for child in children}
    assert len(signatures) == 1
    assert signatures != {""}
    assert [path.name for path in (tmp_path / "home").iterdir()] == [KEY]


class TestDamage:
    """A damaged checkpoint is refused as what it is, and the trial keeps its state."""

    @pytest.mark.parametrize(
        "change",
        [
            {"batches_trained": -3},
            {"batches_trained": 10**30},
            {"batches_trained": 1.5},
            {"batches_trained": float("inf")},
            {"records_trained": True},
            {"format": float("inf")},
            {"file": "../model_def.py"},
            {"files": {"state_dict.pth": {"sha256": 1, "size_bytes": 2}}},
            "[" * 100_000,
        ],
        ids=lambda change: str(change)[:40],
    )
    def test_a_manifest(self, line: Definition, change: Any) -> None:
        """Numbers that count nothing, names that lead elsewhere, and nesting without end."""
        session, directory = saved_by(line)
        manifest = directory / "detjupyter.json"
        manifest.write_text(change if isinstance(change, str) else json.dumps(json.loads(manifest.read_text()) | change))
        session.step(1)
        for use in (session.restore, load_checkpoint):
            with pytest.raises(CheckpointError, match="manifest cannot be read"):
                use(directory)
        assert session.batches_trained == 3

    @pytest.mark.parametrize(
        "change",
        [
            {"rng_state": {"junk": 1}},
            {"rng_state": {"cpu_rng_state": torch.zeros(3, dtype=torch.uint8)}},
            {"detjupyter": {"batches_trained": -1}},
            {"detjupyter": []},
            {"callbacks": 3},
            {"models_state_dict": [3]},
            {"models_state_dict": {}},
            {"optimizers_state_dict": None},
            {"lr_schedulers_state_dict": "x"},
            {"scaler_state_dict": 5},
            {"detjupyter": {"gradients": [{"weight": 1}]}},
            {"detjupyter": {"trial_generators": {"generator": "x"}}},
            {"detjupyter": {"trial_generators": {"generator": torch.zeros(3)}}},
            {"detjupyter": {"trial_generators": 7}},
            {"detjupyter": {"data": []}},
            {"detjupyter": {"data": {"seed": "x", "dataset_generators": {}}}},
            {"detjupyter": {"data": {"pass_number": -1, "first_batch": 0, "generators": {}, "dataset_generators": {}}}},
            {"detjupyter": {"data": {"pass_number": 0, "first_batch": 0.5, "generators": {}, "dataset_generators": {}}}},
            {"detjupyter": {"data": {"dataset_generators": {"generator": ("MT19937", [1], 5, 0, 0.0)}}}},
            {"detjupyter": {"data": {"dataset_generators": {"generator": {"bit_generator": "PCG64", "state": 1}}}}},
            {"detjupyter": {"data": {"pass_number": 0, "first_batch": 0, "generators": {"g": (3, (1,), None)}, "dataset_generators": {}}}},
        ],
        ids=str,
    )
    def test_a_state(self, line: Definition, change: dict[str, Any]) -> None:
        """Nothing of it is restored."""
        session, directory = saved_by(line)
        state = saved_state(session.checkpoint())
        if "cpu_rng_state" in change.get("rng_state", {}):
            change = {"rng_state": {**state["rng_state"], **change["rng_state"]}}
        rewrite(directory, "state_dict.pth", lambda file: torch.save(state | change, file))
        session.step(1)
        session.trial.generator = torch.Generator()
        weight = session.trial.model[0].weight.clone()
        with pytest.raises(CheckpointError, match="The state in the checkpoint is damaged or does not fit: its"):
            session.restore(directory)
        assert torch.equal(session.trial.model[0].weight, weight)
        assert session.batches_trained == 3
        session.step(1)

    @pytest.mark.parametrize(
        "change",
        [
            {"optimizers_state_dict": [{}]},
            {"optimizers_state_dict": [{"state": {}, "param_groups": 3}]},
            {"detjupyter": {"gradients": [{"0.weight": torch.zeros(7)}]}},
        ],
        ids=str,
    )
    def test_a_state_that_fails_while_it_is_restored(self, line: Definition, change: dict[str, Any]) -> None:
        """What was restored before the failure gets its earlier state again."""
        session, directory = saved_by(line)
        state = saved_state(session.checkpoint())
        rewrite(directory, "state_dict.pth", lambda file: torch.save(state | change, file))
        session.step(1)
        weight = session.trial.model[0].weight.clone()
        with pytest.raises(CheckpointError, match="does not fit"):
            session.restore(directory)
        assert torch.equal(session.trial.model[0].weight, weight)
        assert session.batches_trained == 3

    def test_a_callback_that_refuses_its_state(self, define: Callable[..., Definition]) -> None:
        """The models and the callbacks before it get their earlier states again."""
        session = define(model_def=LINE.replace("import DataLoader", "import DataLoader, PyTorchCallback") + CALLBACKS).load(
            "model_def:Called"
        )
        session.step(2)
        checkpoint = session.checkpoint()
        session.trial.first.best = session.trial.second.best = 5
        session.step(1)
        weight = session.trial.model[0].weight.clone()
        with pytest.raises(KeyError, match="nothing is best"):
            session.restore(checkpoint)
        assert torch.equal(session.trial.model[0].weight, weight)
        assert (session.trial.first.best, session.batches_trained) == (5, 3)
