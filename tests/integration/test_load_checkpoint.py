"""From a checkpoint to the trial with its weights, from the code that was trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from support.definition import LINE
from support.layouts import OLD, saved_state, write_0_12_7, write_0_21
from support.waiting import LIMIT_S

import detjupyter as dj
from detjupyter.engine import settings
from detjupyter.errors import CheckpointError, DefinitionError, NotATrialError, TrialError, UntrustedCheckpointError
from detjupyter.pytorch import PyTorchTrial
from detjupyter.pytorch.loading import CheckpointLoadContext, load_trial_from_checkpoint_path
from detjupyter.session.saved_trial import load_checkpoint

if TYPE_CHECKING:
    from support.definition import Definition


def trained(definition: Definition, entrypoint: str | None = None, **given: Any) -> tuple[Any, Any]:
    """Return a session that has trained a little, and its checkpoint."""
    session = definition.load(entrypoint, **given)
    session.step(3)
    return session, session.checkpoint()


def test_it_gives_the_trial_with_its_weights(line: Definition) -> None:
    """By record, id, or directory, with the hyperparameters of then; nothing of it is a session."""
    session, saved = trained(line, hparams={"dropout": 0.25})
    before = dj.sessions()
    for which in (saved, saved.id, saved.path, Path(saved.path)):
        trial = load_checkpoint(which, device="cpu")
        assert type(trial).__name__ == "LineTrial"
        assert torch.equal(trial.model[0].weight, session.trial.model[0].weight)
        assert trial.model[1].p == 0.25
        assert trial.context.get_hparam("dropout") == 0.25
    assert dj.sessions() == before


def test_two_versions_of_one_definition_stand_side_by_side(line: Definition) -> None:
    """Each class comes from its own code, including sibling modules; the loaded session is not affected."""
    line.write(names="NAME = 'first'\n")
    line.edit("import torch\nfrom torch import nn", "import torch\nfrom torch import nn\nimport names", name="model_def")
    line.edit("    def evaluate_batch", "    def name(self):\n        return names.NAME\n\n    def evaluate_batch")
    session, first = trained(line)
    line.write(names="NAME = 'second'\n")
    line.edit("nn.Linear(1, 8)", "nn.Linear(1, 16)")
    line.edit("nn.Linear(8, 1)", "nn.Linear(16, 1)")
    other, second = trained(line)
    shutil.rmtree(line.root)
    old, new = load_checkpoint(first, device="cpu"), load_checkpoint(second, device="cpu")
    assert (old.name(), new.name(), session.trial.name(), other.trial.name()) == ("first", "second", "first", "second")
    assert (old.model[0].out_features, new.model[0].out_features) == (8, 16)
    assert len({type(trial) for trial in (old, new, session.trial, other.trial)}) == 4
    assert torch.equal(new.model[0].weight, other.trial.model[0].weight)


def test_a_student_loads_its_teacher_in_a_batch(line: Definition, monkeypatch: pytest.MonkeyPatch) -> None:
    """The teacher is built at once, with the settings of the process: waiting for the end of the student's batch would be a deadlock."""
    monkeypatch.setattr(settings, "TURN_LIMIT_S", 100 * LIMIT_S)
    _, saved = trained(line)
    line.edit("inputs =", "torch.set_default_dtype(torch.float64)\ninputs =")
    line.edit(
        "        x, y = batch\n        loss",
        "        if batch_idx == 0:\n            import detjupyter as dj\n"
        f"            self.teacher = dj.load_checkpoint({saved.path!r}, device='cpu')\n            self.made = torch.zeros(1)\n"
        "        x, y = batch\n        loss",
    )
    student = line.load()
    student.train(batches=2, wait=False)
    student.wait(LIMIT_S)
    assert student.state == "finished"
    assert {parameter.dtype for parameter in student.trial.teacher.model.parameters()} == {torch.float32}
    assert student.trial.made.dtype == torch.float64
    assert torch.get_default_dtype() == torch.float32


def test_a_kernels_own_random_numbers_go_on_as_before(line: Definition) -> None:
    """Looking into a checkpoint draws nothing."""
    _, saved = trained(line)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_checkpoint(saved, device="cpu")
    assert torch.equal(torch.rand(3), expected)


def test_a_definition_of_one_file(line: Definition) -> None:
    """Its entrypoint names no module."""
    session = dj.load(":LineTrial", path=line.root / "model_def.py", device="cpu", seed=1)
    session.step(2)
    trial = load_checkpoint(session.checkpoint(), device="cpu")
    assert torch.equal(trial.model[0].weight, session.trial.model[0].weight)


def test_a_class_may_be_given_instead_with_its_arguments(line: Definition) -> None:
    """As for a class in a notebook; what the code in the checkpoint says does not matter then."""
    session, saved = trained(line)
    shutil.rmtree(Path(saved.path) / "code")
    manifest = Path(saved.path) / "detjupyter.json"
    text = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**text, "files": {"state_dict.pth": text["files"]["state_dict.pth"]}}))
    with pytest.raises(CheckpointError, match="no code in the checkpoint") as raised:
        load_checkpoint(saved)
    assert "trial_class" in (raised.value.hint or "")

    class Mine(type(session.trial)):  # type: ignore[misc]
        def __init__(self, context: Any, note: str) -> None:
            super().__init__(context)
            self.note = note

    trial = load_checkpoint(saved, trial_class=Mine, trial_kwargs={"note": "hello"}, device="cpu")
    assert (type(trial), trial.note) == (Mine, "hello")
    assert torch.equal(trial.model[0].weight, session.trial.model[0].weight)


def test_determineds_function_does_the_same(line: Definition, tmp_path: Path) -> None:
    """For checkpoints of ours and of Determined's, whose class is named in load_data.json."""
    session, saved = trained(line)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    write_0_21(theirs, saved_state(saved))
    shutil.copytree(line.root, theirs / "code")
    data = json.loads((theirs / "load_data.json").read_text())
    (theirs / "load_data.json").write_text(json.dumps({**data, "trial_cls_spec": "model_def:LineTrial", "hparams": {"lr": 0.5}}))
    for place, given in ((saved.path, {}), (theirs, {"weights_only": False})):  # theirs holds code of another origin
        trial = load_trial_from_checkpoint_path(str(place), torch_load_kwargs={"map_location": "cpu", **given})
        assert isinstance(trial, PyTorchTrial)
        assert torch.equal(trial.model[0].weight.cpu(), session.trial.model[0].weight)  # type: ignore[attr-defined]


def test_of_a_trial_with_build_model_it_gives_the_model(define: Callable[..., Definition], tmp_path: Path) -> None:
    """As Determined does for checkpoints up to 0.13; the metadata of then names class and hyperparameters."""
    definition = define(model_def=OLD)
    session, saved = trained(definition, "model_def:OldTrial", hparams={"lr": 0.1})
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    write_0_12_7(theirs, saved_state(saved))
    shutil.copytree(definition.root, theirs / "code")
    about = {"experiment_config": {"entrypoint": "model_def:OldTrial"}, "hparams": {"lr": 0.1}}
    (theirs / "metadata.json").write_text(json.dumps(about))
    for place in (saved.path, theirs):
        model = load_trial_from_checkpoint_path(place, weights_only=False)
        assert isinstance(model, torch.nn.Linear)
        assert torch.equal(model.weight.cpu(), session.context.models[0].weight)
    assert load_checkpoint(theirs, device="cpu", trust=True).context.get_hparam("lr") == 0.1


def test_what_needs_trust_is_asked_about(line: Definition) -> None:
    """A state with objects of foreign classes runs nothing before."""
    _, saved = trained(line)
    file = Path(saved.path) / "state_dict.pth"
    torch.save({**saved_state(saved), "callbacks": {"c": Path("x")}}, file)
    (Path(saved.path) / "detjupyter.json").unlink()
    (Path(saved.path) / "metadata.json").unlink()
    with pytest.raises(UntrustedCheckpointError):
        load_checkpoint(saved.path, device="cpu")
    assert load_checkpoint(saved.path, device="cpu", trust=True).model[0].out_features == 8
    assert load_trial_from_checkpoint_path(saved.path, weights_only=False) is not None


class TestWhatCannotBeLoaded:
    """Each case gives one short message."""

    def test_a_damaged_checkpoint_is_refused(self, line: Definition) -> None:
        """Nothing of it is imported."""
        _, saved = trained(line)
        code = Path(saved.path) / "code" / "model_def.py"
        code.write_text("raise SystemExit")
        with pytest.raises(CheckpointError, match=r"code/model_def\.py differs from what was written"):
            load_checkpoint(saved)

    def test_a_checkpoint_that_does_not_exist_is_refused(self, tmp_path: Path) -> None:
        """By path or by id."""
        with pytest.raises(CheckpointError, match="no checkpoint here"):
            load_checkpoint(tmp_path / "nothing")
        with pytest.raises(CheckpointError, match="'nothing'"):
            load_checkpoint("nothing")
        with pytest.raises(CheckpointError, match="no checkpoint here"):
            load_checkpoint(tmp_path)

    def test_a_class_of_a_notebook(self, line: Definition) -> None:
        """It is not in the files; it has to be passed."""
        _, saved = trained(line)
        place = Path(saved.path)
        (place / "detjupyter.json").unlink()
        (place / "metadata.json").unlink()
        data = json.loads((place / "load_data.json").read_text())
        (place / "load_data.json").write_text(json.dumps({**data, "trial_cls_spec": "__main__:Trial"}))
        with pytest.raises(CheckpointError, match="in a notebook or a script") as raised:
            load_checkpoint(place)
        assert "trial_class" in (raised.value.hint or "")

    def test_a_constructor_that_raises(self, line: Definition) -> None:
        """The user's frames, from the code in the checkpoint."""
        _, saved = trained(line)
        with pytest.raises(TrialError, match="unexpected keyword argument 'more'"):
            load_checkpoint(saved, trial_kwargs={"more": 1}, device="cpu")

    def test_a_checkpoint_of_another_class_is_refused(self, line: Definition) -> None:
        """Shapes that differ are named, and so is a class that is not a trial of a supported framework."""
        _, saved = trained(line)
        line.edit("nn.Linear(1, 8)", "nn.Linear(1, 9)")
        line.edit("nn.Linear(8, 1)", "nn.Linear(9, 1)")
        edited = line.load().trial
        with pytest.raises(CheckpointError, match=r"0\.weight is \(8, 1\)"):
            load_checkpoint(saved, trial_class=type(edited), device="cpu")
        with pytest.raises((NotATrialError, DefinitionError), match="framework"):
            load_checkpoint(saved, trial_class=dict)  # type: ignore[arg-type]


def test_the_context_to_load_with() -> None:
    """It knows what it is given, and wraps models and optimizers."""
    context = CheckpointLoadContext(hparams={"lr": 0.5}, exp_conf={"searcher": {"metric": "error"}}, device="cpu")
    assert context.get_hparam("lr") == 0.5
    assert context.get_experiment_config() == {"searcher": {"metric": "error"}}
    model = context.wrap_model(torch.nn.Linear(1, 1))
    assert context.models == [model]
    assert context.wrap_optimizer(torch.optim.SGD(model.parameters(), lr=1.0)) is context.optimizers[0]


def test_the_definition_in_it_may_be_trained_again(line: Definition, tmp_path: Path) -> None:
    """``code/`` is a model definition like any other."""
    _, saved = trained(line)
    shutil.copytree(Path(saved.path) / "code", tmp_path / "again")
    session = dj.load(path=tmp_path / "again", device="cpu", seed=1)
    session.restore(saved.path)
    session.step(1)
    assert session.batches_trained == 4
    assert LINE.strip() == (tmp_path / "again" / "model_def.py").read_text().strip()
