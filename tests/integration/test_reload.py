"""Edit, reload, continue: the changes are reported, a failure changes nothing, and replaced objects say so."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.inside import loaded_in

import detjupyter as dj
from detjupyter.definition.changes import code_changes
from detjupyter.errors import DefinitionNotFoundError, DefinitionSyntaxError, TrialError
from detjupyter.protocol.commands import Reload

PARTS = """
import dataclasses
import enum
import functools

REGISTRY = {}


def register(cls):
    REGISTRY[cls.__name__] = cls
    return cls


class Mode(enum.Enum):
    TRAIN = 1


@dataclasses.dataclass(frozen=True)
class Options:
    mode: Mode = Mode.TRAIN


def counted(method):
    @functools.wraps(method)
    def wrapper(self, *args, **kwargs):
        self.calls = getattr(self, "calls", 0) + 1
        return method(self, *args, **kwargs)
    return wrapper


@register
class Base:
    def name(self):
        return "base"


@register
class Derived(Base):
    @counted
    def name(self):
        return "derived of " + super().name()
"""


UTILS = """
def slope():
    import data
    with open("slope.txt") as file:
        assert int(file.read()) == data.SLOPE
    return data.SLOPE
"""


@pytest.fixture
def rich(line: Any) -> Any:
    """Return a definition with a module of everything that a reload of single modules gets wrong."""
    (line.root / "parts.py").write_text(PARTS)
    line.edit("import torch\n", "import torch\nimport parts\n")
    line.edit(
        "        self.context = context\n",
        "        self.context = context\n        self.part = parts.Derived()\n        self.options = parts.Options()\n",
    )
    return line


def test_everything_behaves_as_freshly_imported(rich: Any) -> None:
    """Decorated methods, enums, registries, dataclasses, super(), isinstance and pickling, after an edit of the base class only."""
    session = rich.load()
    rich.edit('return "base"', 'return "new base"', "parts")
    report = session.reload()
    assert [str(change) for change in report.code.files] == ["parts.py: Base.name changed"]
    parts = loaded_in(session).trial_class.scope.modules()["parts"]
    part = session.trial.part
    assert part.name() == "derived of new base"
    assert part.calls == 1
    assert isinstance(part, parts.Base)
    assert {"Base": parts.Base, "Derived": parts.Derived} == parts.REGISTRY
    assert session.trial.options == parts.Options(parts.Mode.TRAIN)
    assert session.trial.options.mode is parts.Mode.TRAIN
    assert pickle.loads(pickle.dumps(session.trial.options)) == session.trial.options
    session.close()


def test_what_changed_is_reported(rich: Any) -> None:
    """Files, classes, functions, and hyperparameters of the config; then that nothing has changed."""
    (rich.root / "const.yaml").write_text("hyperparameters: {lr: 0.01, width: 8}\n")
    session = rich.load()
    session.train(batches=3, wait=True)
    rich.edit('return {"loss": loss}', 'return {"loss": loss, "twice": 2 * loss}')
    rich.edit("import functools\n", "import functools\n\n\ndef helper():\n    return 1\n\n", "parts")
    (rich.root / "const.yaml").write_text("hyperparameters: {lr: 0.02, depth: 2}\n")
    report = session.reload()
    assert re.match(r"Reloaded at batch 3; changed since \d\d:\d\d:\d\d:\n", str(report))
    assert "  model_def.py: LineTrial.train_batch changed" in str(report)
    assert "  parts.py: helper added" in str(report)
    assert report.hyperparameters == (("lr", 0.01, 0.02), ("width", 8, None), ("depth", None, 2))
    again = session.reload()
    assert not again
    assert "nothing has changed" in str(again)
    session.close()


def test_a_mistake_leaves_all_as_it_was(rich: Any) -> None:
    """A module deep in the closure that does not compile, or raises: code, weights, modules and card stay and work."""
    session = rich.load()
    session.train(batches=2, wait=True)
    trial, weights = session.trial, session.trial.model[0].weight.clone()
    good = (rich.root / "parts.py").read_text()
    for text, kind in (("def (", DefinitionSyntaxError), ("1 / 0\n", TrialError), ("raise SystemExit(1)\n", TrialError)):
        (rich.root / "parts.py").write_text(good + text)
        with pytest.raises(kind):
            session.reload()
        assert session.trial is trial
        assert (session.trial.model[0].weight == weights).all()
        assert session.trial.part.name() == "derived of base"
    session.train(batches=1, wait=True)
    assert session.batches_trained == 3
    session.close()


def test_a_directory_that_was_deleted_is_one_error(rich: Any, tmp_path: Path) -> None:
    """The loaded session continues, and the files may be restored."""
    session = rich.load()
    rich.root.rename(tmp_path / "away")
    with pytest.raises(DefinitionNotFoundError, match="There is no directory"):
        session.reload()
    (tmp_path / "away").rename(rich.root)
    session.reload()
    session.train(batches=1, wait=True)
    session.close()


def test_edits_since_the_load_show_on_the_card(rich: Any) -> None:
    """Names of what differs, a file that is gone, and nothing any more after the reload."""
    session = rich.load()
    assert session.card().changed == ()
    rich.edit('return "base"', 'return "new base"', "parts")
    rich.edit("loss = (", "loss = 2 * (")
    assert [(change.path, change.what, change.names) for change in session.card().changed] == [
        ("model_def.py", "edited", ("LineTrial.train_batch",)),
        ("parts.py", "edited", ("Base.name",)),
    ]
    (rich.root / "parts.py").write_text("def (")
    assert [change.what for change in session.card().changed] == ["edited", "does not compile"]
    (rich.root / "parts.py").unlink()
    assert [change.what for change in session.card().changed] == ["edited", "removed"]
    (rich.root / "parts.py").write_text(PARTS)
    session.reload()
    assert session.card().changed == ()
    session.close()


def test_a_trial_of_the_code_before_is_named(rich: Any) -> None:
    """Its repr says when it was built and what replaced it, and an error of its code leads to the new one."""
    session = rich.load()
    old = session.trial
    assert repr(old) == "<LineTrial>"
    rich.edit("loss = (", "import late\n        loss = (")
    (rich.root / "late.py").write_text("")
    session.reload()
    assert repr(session.trial) == "<LineTrial>"
    assert re.fullmatch(r"<LineTrial, built from code of \d\d:\d\d:\d\d; a reload replaced train_batch>", repr(old))
    session.close()


def test_two_sessions_with_equal_module_names_train_at_the_same_time(define: Callable[..., Any], line: Any) -> None:
    """Both have `model_def`, `data` and `utils`; each trains with its own, and relative paths lead to its own files."""
    sessions = []
    for name, slope in (("first", 2), ("second", 3)):
        text = (line.root / "model_def.py").read_text()
        text = text.replace("targets = 2 * inputs + 1", "import data\nimport utils\ntargets = data.SLOPE * inputs")
        text = text.replace('return {"loss": loss}', 'return {"loss": loss, "slope": float(utils.slope())}')
        definition = define(
            name,
            model_def=text,
            data=f"SLOPE = {slope}\n",
            utils=UTILS,
        )
        (definition.root / "slope.txt").write_text(str(slope))
        sessions.append(definition.load())
    for session in sessions:
        session.train(batches=60)
    for session, slope in zip(sessions, (2, 3), strict=True):
        session.wait()
        assert set(session.metrics("slope")[1]) == {slope}
        session.close()


def test_a_reload_asked_for_from_afar_says_on_the_card_that_it_failed(rich: Any) -> None:
    """The panel's button: done, or the reason on the card until a reload succeeds."""
    session = rich.load()
    good = (rich.root / "parts.py").read_text()
    (rich.root / "parts.py").write_text(good + "def (")
    assert isinstance(session.send(Reload()).exception(timeout=60), DefinitionSyntaxError)
    assert any("The reload at" in note and "parts.py does not compile" in note for note in session.card().notes)
    (rich.root / "parts.py").write_text(good.replace('"base"', '"new base"'))
    assert session.send(Reload()).result(timeout=60).code
    assert not any("The reload at" in note for note in session.card().notes)
    assert session.trial.part.name() == "derived of new base"
    session.close()


def test_the_code_of_a_run_is_kept_though_the_files_change(rich: Any) -> None:
    """`run.code` is what was loaded when it began, edits since or not; a reload adds a version; two runs can be compared."""
    session = rich.load()
    rich.edit('return "base"', 'return "edited before the run began"', "parts")
    session.train(batches=1, wait=True)
    first = dj.run(session.run.id)
    assert first.code["parts.py"] == PARTS.encode()
    session.reload()
    session.train(batches=1, wait=True)
    versions = dj.run(first.id).code_versions
    assert [version.batches_trained for version in versions] == [0, 1]
    assert b"edited before" in first.code_after(1)["parts.py"]
    second_session = rich.load()
    second_session.train(batches=1, wait=True)
    difference = str(first.diff(second_session.run))
    assert '-        return "base"' in difference
    assert '+        return "edited before the run began"' in difference
    session.close()
    second_session.close()


def test_files_that_are_used_but_not_shipped_are_named(rich: Any) -> None:
    """A module and a data file that `.detignore` leaves out, with the line that does; an edit of `.detignore` is seen."""
    (rich.root / "scale.txt").write_text("1.0")
    (rich.root / "spare.bin").write_bytes(b"x" * 1000)
    rich.edit(
        "loss = (", "scale = float(torch.as_tensor(float(__import__('pathlib').Path('scale.txt').read_text())))\n        loss = scale * ("
    )
    (rich.root / ".detignore").write_text("pa*\n*.txt\n")
    session = rich.load()
    session.train(batches=1, wait=True)
    usage = session.card().usage
    assert [file.sentence for file in usage.unshipped] == [
        "parts.py was imported but `.detignore` line 1 `pa*` leaves it out: it would be missing on another machine.",
        "scale.txt was opened but `.detignore` line 2 `*.txt` leaves it out: it would be missing on another machine.",
    ]
    assert usage.unused == ("spare.bin",)
    (rich.root / ".detignore").write_text("*.txt\n")
    assert [file.path for file in session.card().usage.unshipped] == ["scale.txt"]
    session.close()


def test_changes_of_a_version_are_those_of_its_sources() -> None:
    """What a report says is what `code_changes` finds."""
    assert str(code_changes({"a.py": b"x = 1\n"}, {"a.py": b"x = 2\n"})) == "a.py: a (module level) changed"
