"""A framework that an installed package registers is used like PyTorch: loaded, trained live, restored, reloaded and checked.

The package is ``tests/frameworks/numpy_linear``; nothing in detjupyter knows its name.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.frameworks import BATCH, NUMPY_LINEAR, PER_EPOCH, install_numpy_linear, write_definition
from support.waiting import LIMIT_S

import detjupyter as dj
from detjupyter.check.shipping import ship_check
from detjupyter.errors import CheckpointError, HyperparameterError, NotATrialError, TrialError, TrialUsageError
from detjupyter.framework.framework import find_framework, known_frameworks

HPARAMS = {"global_batch_size": BATCH, "lr": 0.05, "momentum": 0.9}


@pytest.fixture
def ridge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the framework and write a definition of it."""
    install_numpy_linear(monkeypatch)
    return write_definition(tmp_path / "ridge", "numpy_linear")


def load(path: Path, **given: Any) -> dj.Session:
    """Load the definition with seed 1."""
    return dj.load("model_def:RidgeTrial", path=path, **{"seed": 1, "hparams": HPARAMS, **given})


def edit(path: Path, old: str, new: str) -> None:
    """Replace a piece of the definition."""
    text = (path / "model_def.py").read_text(encoding="utf-8")
    assert old in text
    (path / "model_def.py").write_text(text.replace(old, new), encoding="utf-8")


def register(site: Path, monkeypatch: pytest.MonkeyPatch, entry_point: str) -> None:
    """Install a package with this entry point of the group of frameworks."""
    metadata = site / "abacus_tools-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: abacus-tools\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(f"[detjupyter.frameworks]\n{entry_point}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(site))


def losses(session: dj.Session) -> list[float]:
    """Return the loss of every batch."""
    return [float(value) for value in session.metrics("loss")[1]]


class TestASession:
    """The operations of a user on a session."""

    def test_it_trains_live_and_the_history_names_the_framework(self, ridge: Path) -> None:
        """Batches, an epoch's validation, a best value; on the framework's device."""
        session = load(ridge)
        session.train(epochs=2, wait=True)
        assert (session.state, session.batches_trained) == ("finished", 2 * PER_EPOCH)
        assert len(losses(session)) == 2 * PER_EPOCH
        assert losses(session)[-1] < losses(session)[0]
        assert session.run is not None
        record = session.run.record
        assert (record.framework, record.device, record.batches_trained) == ("numpy_linear", "cpu", 2 * PER_EPOCH)
        assert [event["batches_trained"] for event in session.run.events() if event["kind"] == "validation"] == [PER_EPOCH, 2 * PER_EPOCH]

    def test_the_record_has_the_versions_of_the_frameworks_packages(self, ridge: Path) -> None:
        """And no version of another framework, although torch is installed."""
        session = load(ridge)
        session.step(1)
        assert session.run is not None
        versions = session.run.record.versions
        assert versions["numpy_linear"] == "1.0"
        assert {"python", "numpy", "detjupyter"} <= set(versions)
        assert "torch" not in versions

    def test_it_is_paused_stepped_and_stopped(self, ridge: Path) -> None:
        """Between any two batches."""
        session = load(ridge)
        session.step(3)
        assert session.batches_trained == 3
        session.train(batches=10**9)
        session.at_batch(lambda _: None)
        session.pause()
        assert session.state == "paused"
        session.stop()
        assert session.state == "stopped"

    def test_another_session_continues_from_its_checkpoint_within_an_epoch(self, ridge: Path) -> None:
        """To the bit; so does the session itself when it goes back."""
        whole = load(ridge)
        whole.train(batches=30, wait=True)
        first = load(ridge)
        first.train(batches=11, wait=True)
        saved = first.checkpoint()
        first.train(batches=5, wait=True)
        second = load(ridge)
        second.restore(saved)
        assert second.batches_trained == 11
        second.train(batches=19, wait=True)
        assert losses(second)[-19:] == losses(whole)[-19:]
        first.restore(saved)
        first.train(batches=19, wait=True)
        assert losses(first)[-19:] == losses(whole)[-19:]

    def test_edited_code_continues_with_the_same_weights(self, ridge: Path) -> None:
        """The reload is a new version of the code, in the middle of an epoch."""
        whole = load(ridge)
        whole.train(batches=20, wait=True)
        session = load(ridge)
        session.train(batches=11, wait=True)
        edit(ridge, '"batch": self.context', '"edited": 1.0, "batch": self.context')
        session.reload()
        session.train(batches=9, wait=True)
        assert losses(session) == losses(whole)
        assert len(session.metrics("edited")[1]) == 9

    def test_an_error_of_the_definition_shows_its_own_frames(self, ridge: Path) -> None:
        """None of the framework's, nor of ours."""
        session = load(ridge, hparams={**HPARAMS, "fails_at": 2})
        session.train(batches=5)
        with pytest.raises(TrialError, match="of the definition") as raised:
            session.wait()
        assert "model_def.py" in raised.value.user_traceback
        assert "adapter.py" not in raised.value.user_traceback

    def test_the_neutral_context_explains_what_is_missing(self, ridge: Path) -> None:
        """With a guess at what was meant, in words that fit any framework."""
        context = load(ridge).trial.context
        with pytest.raises(HyperparameterError, match=r"no hyperparameter 'momentom'.*global_batch_size, lr, momentum") as missing:
            context.get_hparam("momentom")
        assert "'momentum'" in (missing.value.hint or "")
        with pytest.raises(AttributeError, match=r"^LinearTrialContext has no 'wrap_weight'\. Did you mean 'wrap_weights'\?$"):
            _ = context.wrap_weight
        assert (context.get_trial_seed(), context.get_per_slot_batch_size(), context.distributed.size) == (1, BATCH, 1)
        with pytest.raises(TrialUsageError, match="no training has started"):
            context.current_train_batch()


class TestCheckpoints:
    """On the disk, without the session."""

    def test_a_checkpoint_is_loaded_with_its_code_and_hyperparameters(self, ridge: Path) -> None:
        """The weights can be inspected without the definition's directory."""
        session = load(ridge, hparams={**HPARAMS, "features": 3})
        session.train(batches=11, wait=True)
        saved = session.checkpoint()
        weights = session.trial.weights.tolist()
        session.close()
        (ridge / "model_def.py").unlink()
        trial = dj.load_checkpoint(saved)
        assert trial.weights.tolist() == weights
        assert trial.context.get_hparams() == {**HPARAMS, "features": 3}

    def test_one_that_has_lost_its_manifest_is_not_taken_for_determineds(self, ridge: Path) -> None:
        """It is refused as incomplete."""
        session = load(ridge)
        session.step(2)
        saved = session.checkpoint()
        (Path(saved.path) / "detjupyter.json").unlink()
        with pytest.raises(CheckpointError, match=r"detjupyter\.json is missing"):
            session.restore(saved.path)


class TestTheShipCheck:
    """What ships is trained in a clean process."""

    def test_it_passes_bit_for_bit(self, ridge: Path) -> None:
        """Both processes find the framework by its entry point."""
        np.random.seed(4)
        expected = np.random.random()
        np.random.seed(4)
        report = ship_check(dj.ModelDefinition(ridge), "model_def:RidgeTrial", {"hyperparameters": HPARAMS}, seed=1, batches=10)
        assert report.identical, report
        assert report.ok
        assert np.random.random() == expected

    def test_a_file_that_does_not_ship_is_found(self, ridge: Path) -> None:
        """As with PyTorch."""
        (ridge / "table.py").write_text("SIZE = 3\n", encoding="utf-8")
        edit(ridge, "from numpy_linear", "import table\nfrom numpy_linear")
        (ridge / ".detignore").write_text("table.py\n", encoding="utf-8")
        report = ship_check(dj.ModelDefinition(ridge), "model_def:RidgeTrial", {"hyperparameters": HPARAMS}, seed=1)
        assert not report.ok
        assert "table" in str(report.error)


class TestFindingIt:
    """By name, and only when it is needed."""

    def test_nothing_of_another_framework_is_imported(self, ridge: Path) -> None:
        """A kernel that trains, validates, saves and restores a linear trial has not imported torch."""
        program = (
            "import sys, detjupyter as dj\n"
            "session = dj.load('model_def:RidgeTrial', path=sys.argv[1], seed=1)\n"
            "session.train(batches=12, validate_every=4, wait=True)\n"
            "session.restore(session.checkpoint())\n"
            "print(session.batches_trained, 'torch' in sys.modules)\n"
        )
        done = subprocess.run([sys.executable, "-c", program, str(ridge)], capture_output=True, text=True, timeout=100, check=False)
        assert done.stdout.split() == ["12", "False"], done.stderr

    def test_the_core_api_imports_no_framework(self) -> None:
        """A script that reports by itself may be of any."""
        program = "import sys, detjupyter.compat.determined.core\nprint('torch' in sys.modules)\n"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=False)
        assert done.stdout.split() == ["False"], done.stderr

    def test_an_unknown_framework_is_refused_with_those_that_are_known(self, ridge: Path) -> None:
        """A class may name any."""
        edit(ridge, "class RidgeTrial(LinearTrial):\n", "class RidgeTrial(LinearTrial):\n    framework = 'abacus'\n\n")
        with pytest.raises(NotATrialError, match=r"'abacus'\. Available: numpy_linear, pytorch\.") as raised:
            load(ridge)
        assert raised.value.entrypoint == "RidgeTrial"

    @pytest.mark.parametrize("name", ["session", "framework", "no such", "..os", ""])
    def test_no_other_folder_is_taken_for_a_framework(self, ridge: Path, name: str) -> None:
        """Though this package has one of that name."""
        edit(ridge, "class RidgeTrial(LinearTrial):\n", f"class RidgeTrial(LinearTrial):\n    framework = {name!r}\n\n")
        with pytest.raises(NotATrialError, match="Unknown framework"):
            load(ridge)

    def test_a_package_that_is_installed_later_is_found(self, ridge: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """In the same process, as after `%pip install`."""
        edit(ridge, "class RidgeTrial(LinearTrial):\n", "class RidgeTrial(LinearTrial):\n    framework = 'late'\n\n")
        with pytest.raises(NotATrialError, match="Unknown framework 'late'"):
            load(ridge)
        register(tmp_path / "site", monkeypatch, "late = numpy_linear.framework:FRAMEWORK")
        session = load(ridge)
        session.step(2)
        assert session.batches_trained == 2

    @pytest.mark.usefixtures("ridge")
    def test_no_package_takes_the_place_of_a_framework_of_ours(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """One of the same name is left alone."""
        pytest.importorskip("torch")
        register(tmp_path / "site", monkeypatch, "pytorch = numpy_linear.framework:FRAMEWORK")
        find_framework.cache_clear()
        assert find_framework("pytorch").trial_type == "PyTorchTrial"
        assert known_frameworks() == ["numpy_linear", "pytorch"]

    @pytest.mark.parametrize(
        ("target", "problem"),
        [
            ("no_such_package:FRAMEWORK", "No module named 'no_such_package'"),
            ("json:FRAMEWORK", "has no attribute 'FRAMEWORK'"),
            ("json:dumps", "json:dumps is function, not a Framework"),
        ],
    )
    def test_a_package_that_does_not_keep_its_word_is_named(
        self, ridge: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, problem: str
    ) -> None:
        """With what it lacks."""
        register(tmp_path / "site", monkeypatch, f"abacus = {target}")
        edit(ridge, "class RidgeTrial(LinearTrial):\n", "class RidgeTrial(LinearTrial):\n    framework = 'abacus'\n\n")
        with pytest.raises(NotATrialError, match="abacus-tools does not provide the framework 'abacus'") as raised:
            load(ridge)
        assert problem in raised.value.message

    def test_a_trial_without_weights_is_refused_at_once(self, ridge: Path) -> None:
        """By the framework's own rule, with its hint."""
        edit(ridge, "context.wrap_weights(", "(")
        with pytest.raises(TrialError, match="wraps no weights") as raised:
            load(ridge)
        assert "wrap_weights" in (raised.value.hint or "")


class TestImportShims:
    """What the framework changes in modules that definitions import."""

    def test_a_definition_sees_them_at_its_first_import(self, ridge: Path) -> None:
        """Before it has named its framework; together with ours; the kernel's own module stays."""
        edit(ridge, "from numpy_linear", "FLOAT, INT = np.float_, np.int\nfrom numpy_linear")
        program = (
            "import sys, numpy, detjupyter as dj\n"
            "module = dj.ModelDefinition(sys.argv[1]).load('model_def:RidgeTrial').scope.import_module('model_def')\n"
            "print(module.FLOAT is numpy.float64, module.INT is int, hasattr(numpy, 'int'), module.np.array is numpy.array)\n"
        )
        done = subprocess.run([sys.executable, "-c", program, str(ridge)], capture_output=True, text=True, timeout=100, check=False)
        assert done.stdout.split() == ["True", "True", "False", "True"], done.stderr

    def test_without_the_package_there_are_none(self, ridge: Path) -> None:
        """Only what is installed counts."""
        if hasattr(np, "float_"):
            pytest.skip("this numpy has the name itself")
        (ridge / "model_def.py").write_text("import numpy as np\nprint(np.float_)\n", encoding="utf-8")
        program = "import sys, detjupyter as dj\ndj.ModelDefinition(sys.argv[1]).load('model_def:X')\n"
        bare = {**os.environ, "PYTHONPATH": str(Path(dj.__file__).parents[1])}
        command = [sys.executable, "-c", program, str(ridge)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, env=bare)
        assert "np.float_" in done.stderr
        assert done.returncode != 0


def test_an_engine_trains_it_where_only_numpy_is_installed(ridge: Path, tmp_path: Path) -> None:
    """In a separate interpreter: step, checkpoint, restore, validate and reload, with a config that is data."""
    site = tmp_path / "site"
    site.mkdir()
    numpy_files = Path(np.__file__).parents[1]
    for package in (*numpy_files.glob("numpy"), *numpy_files.glob("numpy.libs"), Path(dj.__file__).parent, *NUMPY_LINEAR.iterdir()):
        (site / package.name).symlink_to(package)
    code = f"""
        import sys
        from pathlib import Path
        sys.path.insert(0, {str(site)!r})
        from detjupyter.engine.local import open_engine
        from detjupyter.protocol.commands import CommandMessage, MakeCheckpoint, Reload, Restore, Step, UseCode, UseRun, Validate
        from detjupyter.protocol.events import Moved
        from detjupyter.protocol.recipe import LoadRecipe
        from detjupyter.protocol.states import State
        events = []
        recipe = LoadRecipe("model_def:RidgeTrial", {str(ridge)!r}, config={{}}, hparams={HPARAMS!r}, seed=1)
        engine = open_engine(recipe, Path({str(ridge)!r}), events.append, name="bare")
        def ask(command):
            return engine.send(CommandMessage(command)).result(60)
        engine.opened.result(60)
        ask(UseRun("run", {str(tmp_path / "run")!r}))
        ask(UseCode({str(tmp_path)!r}, None))
        ask(Step(3))
        saved = ask(MakeCheckpoint())
        ask(Step(2))
        ask(Restore(saved.path))
        assert [event.batches_trained for event in events if isinstance(event, Moved)] == [3]
        assert set(ask(Validate())) == {{"error"}}
        ask(Reload())
        assert engine.close(State.STOPPED)
        print(*sorted({{name.partition(".")[0] for name in sys.modules}} & {{"platformdirs", "pathspec", "ruamel", "torch"}}))
    """
    environment = {"PATH": "", "HOME": str(tmp_path), "DETJUPYTER_HOME": str(tmp_path / "history")}
    command = [sys.executable, "-S", "-s", "-c", textwrap.dedent(code)]
    process = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=LIMIT_S)
    assert (process.returncode, process.stdout.strip()) == (0, ""), process.stderr
