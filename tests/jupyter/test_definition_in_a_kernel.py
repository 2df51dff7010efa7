"""Model definitions in a real kernel: hooks, the card while files are edited, reloading, and imports that do not come back."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.cells import Cells, Seen
from support.waiting import wait_until

WITHIN_S = 60.0


def card_until(cells: Cells, cell: str, met: Callable[[str], bool]) -> str:
    """Read what the kernel says until the card in the output of ``cell`` is as it should be, and return it."""
    deadline = time.monotonic() + WITHIN_S
    while not met(text := cells.shown[cell].text):
        assert time.monotonic() < deadline, text
        cells.hear(0.2)
    return text


def load(cells: Cells, line: str = "%det_load") -> tuple[str, Seen]:
    """Run a cell that loads, and return its id and what it shows."""
    cell = cells.begin(line)
    seen = cells.finish(cell)
    assert seen.error is None, seen.message
    return cell, seen


class TestTheCard:
    """The output of `%det_load` while the files change."""

    def test_it_says_which_entrypoint_was_chosen(self, cells: Cells) -> None:
        """Named by the config, or the only one there is."""
        assert "Entrypoint model_def:DigitsTrial: " in load(cells)[1].text

    def test_it_follows_edits_on_disk(self, cells: Cells, directory: Path) -> None:
        """An edit shows what changed without a cell being run, and a reload takes the warning away: the newest card only is live."""
        cell, seen = load(cells)
        assert "Code changed" not in seen.text
        path = directory / "model_def.py"
        good = path.read_text(encoding="utf-8")
        path.write_text(good + "\n\ndef helper():\n    return 1\n", encoding="utf-8")
        text = card_until(cells, cell, lambda text: "Code changed" in text)
        assert re.search(r"! Code changed since \d\d:\d\d:\d\d: model_def.py \(helper\)\. `%det_reload` applies the changes\.", text)
        path.write_text(good, encoding="utf-8")
        card_until(cells, cell, lambda text: "Code changed" not in text)

    def test_it_names_what_is_used_but_not_shipped(self, cells: Cells, directory: Path) -> None:
        """A line of `.detignore` that leaves out an imported module is reported at once, until the line is removed."""
        cell, _ = load(cells)
        ignore = directory / ".detignore"
        before = ignore.read_text(encoding="utf-8")
        module = next(path.name for path in directory.glob("*.py") if path.name != "model_def.py")
        ignore.write_text(before + f"/{module}\n", encoding="utf-8")
        text = card_until(cells, cell, lambda text: "leaves it out" in text)
        assert f"{module} was imported but `.detignore` line {before.count(chr(10)) + 1} `/{module}` leaves it out" in text
        ignore.write_text(before, encoding="utf-8")
        card_until(cells, cell, lambda text: "leaves it out" not in text)


SCALED = """
import torch
from torch.utils.data import TensorDataset
from detjupyter import pytorch
import scales


class ScaledTrial(pytorch.PyTorchTrial):
    def __init__(self, context):
        self.context = context
        self.model = context.wrap_model(torch.nn.Linear(1, 1))
        self.optimizer = context.wrap_optimizer(torch.optim.SGD(self.model.parameters(), lr=0.1))

    def build_training_data_loader(self):
        return pytorch.DataLoader(TensorDataset(torch.zeros(40, 1)), batch_size=4)

    build_validation_data_loader = build_training_data_loader

    def train_batch(self, batch, epoch_idx, batch_idx):
        return {"scale": scales.SCALE * scales.one() * 1.0}

    def evaluate_batch(self, batch):
        return {"error": 0.0}
"""


class TestAutoreload:
    """IPython's extension, which runs changed modules again."""

    @pytest.mark.parametrize("first", [True, False])
    @pytest.mark.parametrize("mode", ["2", "3", "complete"])
    def test_a_loaded_definition_is_left_alone(self, cells: Cells, tmp_path: Path, mode: str, first: bool) -> None:
        """Loaded before or after the definition. Edits of its modules are shown on the card, and apply after a reload only."""
        (tmp_path / "model_def.py").write_text(SCALED, encoding="utf-8")
        scales = tmp_path / "scales.py"
        scales.write_text("SCALE = 1.0\n\n\ndef one():\n    return 1\n", encoding="utf-8")
        enable = f"%load_ext autoreload\n%autoreload {mode}"
        if first:
            cells.ok(enable)
        cell, _ = load(cells, f"%det_load --path {tmp_path}")
        if not first:
            cells.ok(enable)
        cells.ok("import detjupyter as dj\nsession = dj.current_session()\nsession.step(2)")
        try:
            time.sleep(0.05)  # the file gets a newer time of change
            scales.write_text("SCALE = 5.0\n\n\ndef one():\n    return 10\n", encoding="utf-8")
            assert cells.ok("1 + 1").complaint == ""
            cells.ok("session.step(2)")
            cells.ok("session.step(1)")
            assert cells.value("session.metrics('scale')[1].tolist()") == "[1.0, 1.0, 1.0, 1.0, 1.0]"
            assert cells.value("len(session.run.code_versions)") == "1"
            card_until(cells, cell, lambda text: "Code changed" in text)
            cells.ok("%det_reload")
            cells.ok("session.step(1)")
            assert cells.value("session.metrics('scale')[1].tolist()[-1]") == "50.0"
        finally:
            cells.ok("%autoreload 0")

    def test_a_module_of_a_definition_cannot_be_reloaded_alone(self, cells: Cells) -> None:
        """One message with the magic to use; the module is unchanged, also for ``%aimport``."""
        load(cells, "session = %det_load")
        cells.ok("import importlib, sys\nmodule = sys.modules[type(session.trial).__module__]\nbefore = dict(vars(module))")
        seen = cells.run("importlib.reload(module)")
        assert "belongs to a loaded definition" in seen.message
        assert "%det_reload" in seen.message
        cells.ok("%load_ext autoreload\n%autoreload 1")
        cells.ok("get_ipython().run_line_magic('aimport', module.__name__)")
        cells.ok("%autoreload 0")
        assert cells.value("dict(vars(module)) == before") == "True"


class TestVeryLargeDirectories:
    """`/`, or a home directory, by mistake."""

    def test_they_are_asked_about_before_anything_of_them_runs(self, cells: Cells, directory: Path) -> None:
        """No, or no way to ask, gives one message with the option to use; yes, or the option, loads; the hook runs once, afterwards."""
        (directory / "startup-hook.sh").write_text("echo the hook\n", encoding="utf-8")
        cells.ok("from detjupyter.definition import model_definition; model_definition.MOST_PATHS = 3")
        try:
            for answer in ("n", "y"):
                cell = cells.begin("%det_load --startup-hook")
                assert "more than 3 paths" in cells.client.get_stdin_msg(timeout=30)["content"]["prompt"]
                cells.client.input(answer)
                seen = cells.finish(cell)
                if answer == "n":
                    assert "DefinitionTooLargeError: This directory holds more than 3 paths." in seen.message
                    assert "--any-size" in seen.message
                    assert "Traceback" not in seen.message
                    assert "the hook" not in seen.text
                else:
                    assert seen.printed["stdout"].count("the hook") == 1
                    assert "DigitsTrial" in seen.text
            assert "DigitsTrial" in load(cells, "%det_load --any-size")[1].text
        finally:
            cells.ok("model_definition.MOST_PATHS = 200_000")


class TestReloading:
    """`%det_reload`."""

    def test_it_says_what_changed(self, cells: Cells, directory: Path) -> None:
        """Files, classes, functions; and the card that follows is clean."""
        load(cells)
        path = directory / "model_def.py"
        path.write_text(
            path.read_text(encoding="utf-8").replace('return {"loss": loss', 'return {"one": 1.0, "loss": loss'), encoding="utf-8"
        )
        seen = cells.ok("%det_reload")
        assert re.search(r"Reloaded at batch 0; changed since .*:\n  model_def.py: DigitsTrial.train_batch changed", seen.printed["stdout"])
        assert "Code changed" not in seen.text

    def test_the_panels_command_reloads(self, cells: Cells, directory: Path) -> None:
        """The control channel takes `reload`, answers at once, and says on the card what a mistake was."""
        load(cells)
        path = directory / "model_def.py"
        good = path.read_text(encoding="utf-8")
        path.write_text(good + "def (\n", encoding="utf-8")
        cells.control({"kind": "reload"})
        deadline = time.monotonic() + WITHIN_S
        while not any("The reload at" in note for note in cells.control(None)["cards"][0]["notes"]):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        path.write_text(good.replace('return {"loss": loss', 'return {"one": 1.0, "loss": loss'), encoding="utf-8")
        assert cells.control(None)["cards"][0]["changed"] == [
            {"path": "model_def.py", "what": "edited", "names": ["DigitsTrial.train_batch"]}
        ]
        cells.control({"kind": "reload"})
        while cells.control(None)["cards"][0]["changed"] or cells.control(None)["cards"][0]["loaded_at"] == 0:
            assert time.monotonic() < deadline
            time.sleep(0.1)


class TestTheStartupHook:
    """`startup-hook.sh`."""

    def test_it_is_shown_and_runs_only_when_asked(self, cells: Cells, directory: Path) -> None:
        """Its output appears below the cell, its exported variables reach the definition, and a failure gives one message."""
        hook = directory / "startup-hook.sh"
        hook.write_text("echo preparing\nexport DIGITS_PREPARED=yes\n", encoding="utf-8")
        _, seen = load(cells)
        assert re.search(r"startup hook +startup-hook.sh; `%det_load --startup-hook` runs it", seen.text)
        assert "preparing" not in seen.text
        assert cells.value("__import__('os').environ.get('DIGITS_PREPARED')") == "None"
        _, seen = load(cells, "%det_load --startup-hook")
        assert seen.printed["stdout"] == "preparing\n"
        assert "startup-hook.sh was run, which set DIGITS_PREPARED." in seen.text
        assert cells.value("__import__('os').environ.get('DIGITS_PREPARED')") == "'yes'"
        hook.write_text("echo no disk\nexit 2\n", encoding="utf-8")
        message = cells.run("%det_load --startup-hook").message
        assert message.startswith("StartupHookError: startup-hook.sh ended with status 2.")
        assert "no disk" in message
        assert "Traceback" not in message


class TestTheKernelStaysTheUsers:
    """Path, directory and modules as before."""

    def test_cells_import_their_own(self, cells: Cells, tmp_path: Path) -> None:
        """After a load a cell that imports the same names gets its own; path, modules and directory are as they were."""
        found = "(list(sys.path), os.getcwd(), {name for name in sys.modules if name in ('data', 'model_def')})"
        cells.ok(f"import sys, os; before = {found}")
        load(cells)
        assert cells.value(f"{found} == before") == "True"
        (tmp_path / "data.py").write_text("MINE = 1\n", encoding="utf-8")
        cells.ok(f"sys.path.insert(0, {str(tmp_path)!r})\nimport data\nassert data.MINE\nsys.path.pop(0)\ndel sys.modules['data']")

    def test_the_directory_of_the_kernel_stays_while_it_trains(self, cells: Cells, directory: Path) -> None:
        """The training works at the root of the definition, and the cells where they were."""
        (directory.parent / "elsewhere").mkdir()
        cells.ok("import os; os.chdir('../elsewhere')")
        load(cells, "%det_load --path {_directory}")
        cells.ok("s = __import__('detjupyter').current_session()")
        assert cells.value("s.at_batch(lambda trial: os.getcwd())") == repr(str(directory))
        assert cells.value("os.getcwd()") == repr(str(directory.parent / "elsewhere"))

    def test_an_import_that_does_not_come_back_can_be_interrupted(self, cells: Cells, directory: Path) -> None:
        """One line, nothing loaded, and the next load works."""
        path = directory / "model_def.py"
        good = path.read_text(encoding="utf-8")
        reached = directory.parent / "reached"
        path.write_text(f"import time\nopen({str(reached)!r}, 'w').close()\ntime.sleep(600)\n" + good, encoding="utf-8")
        cell = cells.begin("%det_load --name blocked")
        cells.until_started(cell)
        wait_until(reached.exists)
        cells.manager.interrupt_kernel()
        seen = cells.finish(cell)
        assert seen.message.strip() == "Interrupted: nothing was loaded."
        assert cells.value("[s.session_id for s in __import__('detjupyter').sessions()]") == "[]"
        path.write_text(good, encoding="utf-8")
        load(cells)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%det_load 'model def:DigitsTrial'", "contains a space"),
        ("%det_load model_def:", "has no class after the colon"),
        ("%det_load model_def:A:B", "has more than one colon"),
    ],
)
def test_a_malformed_entrypoint_is_one_message(cells: Cells, line: str, message: str) -> None:
    """What is wrong with it, and no traceback."""
    seen = cells.run(line)
    assert message in seen.message
    assert "Traceback" not in seen.message
