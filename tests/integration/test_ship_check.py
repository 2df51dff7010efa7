"""The ship check: what ships is trained in a clean process, and compared with the kernel."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from support.waiting import wait_until

from detjupyter.check import CheckReport, CheckStep, FirstDifference, ship_check
from detjupyter.check.batches import first_difference, from_bits, to_bits
from detjupyter.check.clean import environment
from detjupyter.check.hints import left_out_hint
from detjupyter.check.report import STEPS
from detjupyter.definition.isolation.finding import VARIABLE
from detjupyter.definition.isolation.imports import DefinitionScope
from detjupyter.definition.model_definition import ModelDefinition
from detjupyter.errors import ConfigError, EntrypointError, LengthError, SessionBusyError
from detjupyter.pytorch.saved_state import first_difference as state_difference

if TYPE_CHECKING:
    from support.definition import Definition

Define = Callable[..., "Definition"]


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give every check a place for its scratch, and find it empty afterwards."""
    DefinitionScope(tmp_path).release()  # this process's own temporary files are made elsewhere
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))  # nor are torch's
    place = Path(tempfile.mkdtemp(prefix="dj-"))
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield
    left = [path.name for path in place.glob("detjupyter-*") if not path.name.startswith("detjupyter-usage-")]  # of a session
    shutil.rmtree(place)
    assert left == []


def check(definition: Definition | Path, entrypoint: str | None = None, **given: Any) -> CheckReport:
    """Check a definition on the CPU with seed 1; no module of it stays behind."""
    root = definition if isinstance(definition, Path) else definition.root
    config = {"hyperparameters": given.pop("hparams", {})}
    modules = loaded_modules()
    try:
        return ship_check(ModelDefinition(root), entrypoint, config, 1, "cpu", **given)
    finally:
        assert loaded_modules() == modules


def loaded_modules() -> set[str]:
    """Return the private names of what definitions have imported."""
    return {name for name in sys.modules if name.startswith("detjupyter.loaded.")}


def begin_with(definition: Definition, text: str) -> Definition:
    """Put lines before those of the module that holds the Trial class."""
    path = definition.root / "model_def.py"
    path.write_text(text + path.read_text())
    return definition


def failed(report: CheckReport) -> CheckStep:
    """Return the step that failed, none of which may come after it."""
    names = [step.name for step in report.steps]
    assert names == list(STEPS)
    [step] = [step for step in report.steps if step.ok is False]
    assert all(after.detail == "not reached" for after in report.steps[names.index(step.name) + 1 :])
    assert not report.ok
    assert not report
    return step


def states() -> list[Any]:
    """Return the random states of this process."""
    return [random.getstate(), [str(part) for part in np.random.get_state()], torch.get_rng_state().tolist()]


def test_a_definition_that_ships_whole_passes(define: Define, capsys: pytest.CaptureFixture[str]) -> None:
    """Every step passes in order, the metrics are the kernel's bit for bit with shuffled data and dropout, and nothing else moves."""
    definition = begin_with(define().write(data="sizes = [4]\nprint('hello from data')\n"), "import data\nfrom line import data as again\n")
    (definition.root / "notes.log").write_text("x")
    (definition.root / ".detignore").write_text("*.log\n")
    session = definition.load(hparams={"dropout": 0.5, "shuffle": True})
    session.train(batches=2, wait=True)
    capsys.readouterr()
    random.random()
    before = states()
    heard: list[CheckStep] = []
    report = check(definition, hparams={"dropout": 0.5, "shuffle": True}, batches=4, progress=heard.append)
    assert [(step.name, step.ok) for step in report.steps] == [(name, True) for name in STEPS], report
    assert (report.ok, report.identical, report.first_difference, report.error) == (True, True, None, None)
    assert states() == before
    assert [(step.name, step.ok) for step in heard] == [pair for name in STEPS for pair in ((name, None), (name, True))]
    assert report.archive is not None
    assert (report.archive.files, report.device, report.seed) == (2, "cpu", 1)
    text = str(report)
    assert text.startswith("Ship check of model_def:LineTrial on cpu, seed 1: passed\n")
    assert [line.split()[0] for line in text.splitlines()[1:]] == [name.split()[0] for name in STEPS]
    assert "4 batches; last metrics: loss " in text
    assert "1 of 2" in text  # one validation batch, not both
    assert "hello from data" in report.output
    assert capsys.readouterr().out == ""
    session.train(batches=1, wait=True)
    assert session.batches_trained == 3


def test_a_needed_module_that_does_not_ship_is_named_with_its_rule(define: Define) -> None:
    """The frames are the user's with paths as in the archive, and the hint says which line leaves the file out."""
    definition = begin_with(define().write(layers="width = 8\n"), "from layers import width\n")
    (definition.root / ".detignore").write_text("# mine\n\nlay*\n")
    report = check(definition)
    step = failed(report)
    assert (step.name, step.detail) == ("import", "ModuleNotFoundError: No module named 'layers'")
    assert report.identical is None
    assert report.error is not None
    assert report.error.hint == "layers.py is in the directory, but `.detignore` line 3 `lay*` leaves it out, so it does not ship."
    assert 'File "model_def.py", line 1' in report.error.user_traceback
    assert "scratch" not in str(report)
    assert str(report).rstrip().endswith(report.error.hint)


def test_an_entrypoint_that_does_not_ship_is_named_with_its_rule(line: Definition) -> None:
    """Its module is the first file that is missed."""
    (line.root / ".detignore").write_text("*_def.py\n")
    report = check(line, "model_def:LineTrial")
    assert failed(report).name == "import"
    assert report.error is not None
    assert report.error.hint is not None
    assert "`.detignore` line 1 `*_def.py`" in report.error.hint


def test_code_that_does_not_compile_is_shown_with_its_line(line: Definition) -> None:
    """File, line and text, as in the archive."""
    line.edit("class LineTrial(PyTorchTrial):", "class LineTrial(PyTorchTrial)")
    report = check(line, "model_def:LineTrial")
    assert (failed(report).name, failed(report).detail) == ("import", "model_def.py does not compile: expected ':'.")
    assert "in model_def.py, line 11\n      class LineTrial(PyTorchTrial)\n" in str(report)


def test_a_training_batch_that_raises_shows_the_users_frames(line: Definition) -> None:
    """The step is the batch that raised, here not the first."""
    line.edit(
        "x, y = batch\n        loss", "x, y = batch\n        if batch_idx == 2:\n            raise ValueError('bad batch')\n        loss"
    )
    report = check(line)
    step = failed(report)
    assert (step.name, step.detail) == ("batches", "ValueError: bad batch")
    assert report.error is not None
    assert "raise ValueError('bad batch')" in report.error.user_traceback
    assert report.error.message == "ValueError in your code while training."
    assert [one.ok for one in report.steps[:5]] == [True] * 5


def test_the_first_value_that_differs_is_named(line: Definition) -> None:
    """A training that draws from nowhere is found out: batch, metric and both values."""
    line.edit(
        'return {"loss": loss}',
        'import os\n        return {"loss": loss, "luck": loss + int.from_bytes(os.urandom(4), "big") * (batch_idx == 1)}',
    )
    report = check(line)
    assert failed(report).name == "compare"
    assert report.identical is False
    difference = report.first_difference
    assert difference is not None
    assert (difference.batches_trained, difference.metric) == (2, "luck")
    assert f"luck of batch 2 is {difference.kernel!r} in the kernel and {difference.shipped!r} in the clean process" in str(report)
    assert "Two trainings in the kernel differ as well (luck of batch 2)" in report.notes[-1]


def test_a_kernel_that_computes_otherwise_is_named(line: Definition) -> None:
    """A setting of the user's cells that changes results is found; the kernel keeps it."""
    (line.root / "startup-hook.sh").write_text("exit 1\n")
    torch.set_default_dtype(torch.float64)
    try:
        report = check(line)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert (failed(report).name, report.identical) == ("compare", False)
    assert report.notes == (
        "startup-hook.sh was not run: the check assumes that its setup is already done.",
        "torch.get_default_dtype() is torch.float64 in the kernel and torch.float32 in a clean process.",
        "Two trainings in the kernel are identical: the results depend on the state of the kernel, or on a file that does not ship.",
    )


@pytest.fixture
def waiting(define: Define, tmp_path: Path) -> tuple[Definition, Path]:
    """Write a definition whose first batch never ends, with a worker; it writes their pids to a file."""
    pids = tmp_path / "pids"
    definition = begin_with(define(), "import os, subprocess, time\nfrom pathlib import Path\n")
    definition.edit(
        "x, y = batch\n        loss",
        f"""worker = subprocess.Popen(["sleep", "1000"])
        Path({str(pids)!r}).with_suffix(".part").write_text(f"{{os.getpid()}} {{worker.pid}}")
        Path({str(pids)!r}).with_suffix(".part").rename({str(pids)!r})
        time.sleep(1000)
        x, y = batch
        loss""",
    )
    return definition, pids


def wait_for_pids(pids: Path) -> list[int]:
    """Wait until the clean process is in its first batch."""
    import time

    while not pids.exists():
        time.sleep(0.02)
    return [int(pid) for pid in pids.read_text().split()]


def is_running(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_process_that_is_killed_from_outside_is_a_failed_step(waiting: tuple[Definition, Path]) -> None:
    """The report says how it ended and in which step; its workers are ended too."""
    definition, pids = waiting
    seen: list[int] = []

    def kill(step: CheckStep) -> None:
        if step.name == "first batch" and step.ok is None:
            seen.extend(wait_for_pids(pids))
            os.kill(seen[0], signal.SIGKILL)

    report = check(definition, progress=kill)
    step = failed(report)
    assert (step.name, step.detail) == ("first batch", "the process was killed by SIGKILL, perhaps because the system ran out of memory")
    assert report.error is not None
    assert report.error.message.endswith("during the step 'first batch'.")
    wait_until(lambda: not any(is_running(pid) for pid in seen), "the end of the processes")


def test_an_interrupt_ends_the_clean_process_too(waiting: tuple[Definition, Path]) -> None:
    """The process, its worker and the scratch directory are ended by the interrupt."""
    definition, pids = waiting
    seen: list[int] = []

    def interrupt(step: CheckStep) -> None:
        if step.name == "first batch":
            seen.extend(wait_for_pids(pids))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(definition, progress=interrupt)
    assert len(seen) == 2
    wait_until(lambda: not any(is_running(pid) for pid in seen), "the end of the processes")


def test_a_check_may_be_given_a_time(waiting: tuple[Definition, Path]) -> None:
    """What takes longer is ended, and that is the failure."""
    report = check(waiting[0], timeout_s=0.25)
    assert failed(report).detail == "the process took longer than 0.25 s and was killed"


def test_code_that_ends_the_process_is_a_failed_step(define: Define) -> None:
    """Its earlier output is shown."""
    definition = begin_with(define(), "import os\nprint('about to leave')\nos._exit(3)\n")
    report = check(definition, "model_def:LineTrial")
    assert (failed(report).name, failed(report).detail) == ("import", "the process ended with exit code 3")
    assert report.output == ("about to leave",)
    assert "about to leave" in str(report)


def test_a_definition_that_fails_in_the_kernel_only_is_said(line: Definition) -> None:
    """The random states are still restored."""
    line.edit(
        "self.context = context", "import sys\n        assert 'pytest' not in sys.modules, 'not here'\n        self.context = context"
    )
    before = states()
    report = check(line)
    step = failed(report)
    assert (step.name, step.detail) == ("compare", "trains from the archive, but not from the directory")
    assert report.error is not None
    assert report.error.exception == "AssertionError: not here"
    assert states() == before


def test_a_single_file_and_a_whole_dataset_validation_are_checked(line: Definition, tmp_path: Path) -> None:
    """A single file is checked; `evaluate_full_dataset` is not run for only one batch, and the report says so."""
    file = tmp_path / "alone.py"
    body, _ = (line.root / "model_def.py").read_text().split("    def evaluate_batch")
    file.write_text(body + "    def evaluate_full_dataset(self, data_loader):\n        raise AssertionError('all of it')\n")
    (tmp_path / "huge.bin").write_bytes(b"0" * 1000)
    report = check(file, ":LineTrial")
    verdicts = {step.name: step.ok for step in report.steps}
    assert verdicts == {**dict.fromkeys(STEPS, True), "validation batch": None}, report
    assert report.ok
    assert report.archive is not None
    assert report.archive.files == 1
    assert "evaluate_full_dataset() would use all the data" in str(report)


def test_a_state_that_does_not_come_back_is_named(line: Definition) -> None:
    """A model that forgets a part of its state fails the restore, with the name of that part."""
    line.edit(
        "class LineTrial",
        """class Forgetful(nn.Linear):
    def load_state_dict(self, state, *args, **options):
        return super().load_state_dict({**state, "bias": state["bias"] + 1}, *args, **options)


class LineTrial""",
    )
    line.edit("nn.Sequential(nn.Linear(1, 8), dropout, nn.Linear(8, 1))", "Forgetful(1, 1)")
    report = check(line)
    assert (failed(report).name, failed(report).detail) == (
        "restore",
        "the restored state differs: models_state_dict.0.bias differs",
    )


def test_files_opened_by_absolute_path_are_noted(define: Define) -> None:
    """They are found here, in the clean process too, and would not be elsewhere."""
    definition = define()
    (definition.root / "vocab.txt").write_text("a b c")
    (definition.root / ".detignore").write_text("vocab.txt\n")
    definition.edit(
        "class LineTrial",
        f"from pathlib import Path\nwords = Path({str(definition.root / 'vocab.txt')!r}).read_text()\n\n\nclass LineTrial",
    )
    report = check(definition)
    assert report.ok, report
    assert report.notes == (
        "The code opened files by absolute path, which would fail on another machine: vocab.txt. "
        "Relative paths start at the root of the definition.",
    )
    assert report.notes[0] in str(report)


def test_more_than_may_ship_is_a_failed_step(line: Definition) -> None:
    """No process is started for it."""
    with (line.root / "big.bin").open("wb") as file:
        file.truncate(100_000_000)
    report = check(line)
    assert failed(report).name == "package"
    assert (report.archive, report.device, report.output) == (None, None, ())
    assert "the limit of an upload is 99,614,720" in str(report)


def test_a_running_session_comes_first(line: Definition) -> None:
    """A check seeds the random states that a training draws from, so it waits; a paused session does not mind."""
    session = line.load()
    session.train(batches=100_000)
    with pytest.raises(SessionBusyError, match="is training") as refused:
        check(line)
    assert refused.value.hint is not None
    session.stop()


def test_what_cannot_be_checked_is_said_at_once(line: Definition, tmp_path: Path) -> None:
    """No batch to train, a value that cannot leave the kernel, no entrypoint."""
    for batches in (0, -1, True, 1.5):
        with pytest.raises(LengthError, match="at least one batch"):
            check(line, batches=batches)
    with pytest.raises(ConfigError, match="cannot be pickled"):
        check(line, hparams={"f": lambda: 0})
    (tmp_path / "empty").mkdir()
    with pytest.raises(EntrypointError):
        check(tmp_path / "empty")


# --- the parts that need no process -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (
            "ModuleNotFoundError: No module named 'layers'",
            "layers.py is in the directory, but `.detignore` line 1 `/layers.py` leaves it out",
        ),
        ("No module named 'digits.layers'", "layers.py is in the directory, but `.detignore` line 1"),
        (
            "No module named 'nets.deep'",
            "nets/deep.py is in the directory, but `.detignore` line 2 `nets/` leaves it out (with all of nets/)",
        ),
        ("No module named 'nets'", "nets is in the directory, but `.detignore` line 2 `nets/` leaves it out"),
        ("cannot import name 'deep' from 'nets' (nets/__init__.py)", "nets/deep.py is in the directory"),
        ("cannot import name 'layers' from 'digits' (unknown location)", "layers.py is in the directory"),
        (
            "FileNotFoundError: [Errno 2] No such file or directory: 'data/x.csv'",
            "data/x.csv is in the directory, but `.detignore` line 3 `*.csv`",
        ),
        ("[Errno 2] No such file or directory: './data/../data/x.csv'", "data/x.csv is in the directory"),
        (
            "[Errno 2] No such file or directory: '.venv/words'",
            "the default rule `.venv/` (the line `!.venv/` in `.detignore` re-includes it)",
        ),
        ("[Errno 2] No such file or directory: 'old.pyc'", "the rule `*.pyc`, which always applies, leaves it out"),
        ("[Errno 2] No such file or directory: '../shared.txt'", "shared.txt is outside the definition (../shared.txt)"),
        ("no 'a'\nNo module named 'layers'\nNo such file or directory: 'data/x.csv'", "layers.py is in the directory"),
        ("[Errno 2] No such file or directory: 'ships.txt'", None),
        ("[Errno 2] No such file or directory: 'nowhere.txt'", None),
        ("[Errno 2] No such file or directory: '/etc/nowhere'", None),
        ("No module named 'numpy'", None),
        ("ValueError: layers.py", None),
    ],
)
def test_a_missing_file_is_explained_by_the_rule_that_leaves_it_out(tmp_path: Path, text: str, hint: str | None) -> None:
    """Modules in every import style, files by relative path, rules of every kind; a file that never existed gets no explanation."""
    root = tmp_path / "digits"
    for path in ("layers.py", "nets/deep.py", "nets/__init__.py", "data/x.csv", ".venv/words", "old.pyc", "ships.txt", "../shared.txt"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("")
    (root / ".detignore").write_text("/layers.py\nnets/\n*.csv\n")
    found = left_out_hint(text, root)
    assert (found is None) if hint is None else (found is not None and hint in found)


def test_metrics_are_compared_bit_for_bit() -> None:
    """The sign of zero and the last bit count; one NaN is as good as another; what only one has is a difference."""
    nan = float("nan")
    one = {"a": [0.1, nan, float("inf")], "b": [1.0, 2.0, 3.0]}
    assert first_difference(one, {"b": [1.0, 2.0, 3.0], "a": [0.1, -nan, float("inf")]}, 3) is None
    assert first_difference({"a": [0.0]}, {"a": [-0.0]}, 1) == FirstDifference(1, "a", 0.0, -0.0)
    last_bit = {**one, "b": [1.0, 2.0, 3.0000000000000004]}
    assert first_difference(one, last_bit, 3) == FirstDifference(3, "b", 3.0, 3.0000000000000004)
    assert str(first_difference({"a": [1.0]}, {}, 1)) == "a of batch 1 is 1.0 in the kernel and missing in the clean process"
    assert first_difference(one, from_bits(to_bits(one)), 3) is None


def test_states_are_compared_value_by_value(tmp_path: Path) -> None:
    """Shapes, kinds, bits, NaNs and names; the layout in the file does not matter."""
    base = {"w": torch.tensor([1.0, float("nan")]), "step": 3, "lr": float("nan"), "nested": [{"x": torch.zeros(2, dtype=torch.int64)}]}
    view = torch.tensor([0.0, 1.0, float("nan"), 5.0])[1:3]
    others: dict[str, tuple[dict[str, Any], str | None]] = {
        "same": ({**base, "w": view}, None),
        "value": ({**base, "nested": [{"x": torch.ones(2, dtype=torch.int64)}]}, "nested.0.x differs"),
        "kind": ({**base, "w": base["w"].double()}, "w differs"),
        "shape": ({**base, "w": torch.tensor([[1.0, float("nan")]])}, "w differs"),
        "number": ({**base, "step": 4}, "step is 3, then 4"),
        "type": ({**base, "step": 3.0}, "step is int, then float"),
        "missing": ({name: value for name, value in base.items() if name != "lr"}, "lr is in only one of the two"),
        "length": ({**base, "nested": []}, "nested has 1 entries, then 0"),
    }
    for name, (state, _) in {"base": (base, None), **others}.items():
        (tmp_path / name).mkdir()
        torch.save(state, tmp_path / name / "state_dict.pth")
    assert {name: state_difference(tmp_path / "base", tmp_path / name) for name in others} == {
        name: reported for name, (_, reported) in others.items()
    }


def test_the_clean_process_is_not_led_back(tmp_path: Path) -> None:
    """Its environment is the kernel's, but for what publishes the kernel's modules and for paths into the packed directory."""
    inside, outside, scratch = tmp_path / "d" / "lib", tmp_path / "other", Path("/tmp/short")
    found = {"HOME": "/h", VARIABLE: "/x", "PYTHONPATH": os.pathsep.join([str(inside), "", str(outside), "relative", str(tmp_path / "d")])}
    ours = {"TMPDIR": "/tmp/short", "PYTHONUNBUFFERED": "1"}
    assert environment(found, tmp_path / "d", scratch) == {"HOME": "/h", "PYTHONPATH": str(outside), **ours}
    assert environment({"PYTHONPATH": str(inside)}, tmp_path / "d", scratch) == ours
    assert environment({"TMPDIR": "/t"}, tmp_path / "d", Path("/tmp") / ("x" * 80))["TMPDIR"] == "/t"
