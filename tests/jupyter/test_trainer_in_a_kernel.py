"""Scripts written for Determined, as cells of a real notebook: they train, are shown live, steered from afar and kept in the history."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.cells import Cells, Seen
from support.waiting import wait_until

from detjupyter.protocol.outputs import RUN_MIME_TYPE

IMPORTS = "import torch\nimport determined as det\n"
TRIAL = """
class Tiny(det.pytorch.PyTorchTrial):
    def __init__(self, context, slow=False):
        self.context = context
        self.slow = slow
        self.model = context.wrap_model(torch.nn.Linear(1, 1))
        self.optimizer = context.wrap_optimizer(torch.optim.SGD(self.model.parameters(), lr=context.get_hparam("lr")))

    def build_training_data_loader(self):
        return det.pytorch.DataLoader(torch.linspace(-1, 1, 40).reshape(-1, 1), batch_size=4, shuffle=True)

    build_validation_data_loader = build_training_data_loader

    def train_batch(self, batch, epoch_idx, batch_idx):
        if self.slow == "fails":
            return 1 / (batch_idx - batch_idx)
        if self.slow:
            time.sleep(0.02)
        loss = ((self.model(batch) - 3 * batch) ** 2).mean()
        self.context.backward(loss)
        self.context.step_optimizer(self.optimizer)
        return {"loss": loss}

    def evaluate_batch(self, batch):
        return {"error": ((self.model(batch) - 3 * batch) ** 2).mean()}
"""
FIT = """
with det.pytorch.init(hparams={"lr": 0.1}) as context:
    trainer = det.pytorch.Trainer(Tiny(context, slow=%s), context)
    trainer.fit(max_length=det.pytorch.Epoch(%d))
print("after the fit")
"""
REPORTS = """
import time
with det.core.init() as context:
    for step in range(1, 1000):
        context.train.report_training_metrics(steps_completed=step, metrics={"loss": 1 / step})
        if %s or context.preempt.should_preempt():
            break
        time.sleep(0.02)
print("after the script", step)
"""


@pytest.fixture
def notebook(cells: Cells) -> Cells:
    """The kernel, with the class in a separate cell."""
    cells.ok(IMPORTS)
    cells.ok(TRIAL + "import time\n")
    return cells


def ended_views(seen: Seen) -> list[str]:
    """Return the texts of the pictures that took the place of live views."""
    return [bundle["text/plain"] for bundle in seen.displays if set(bundle) == {RUN_MIME_TYPE, "image/png", "image/svg+xml", "text/plain"}]


def when_training(cells: Cells, batches: int) -> str:
    """Wait until the training in the busy kernel has reached a number of batches; return its session."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        sessions = cells.control(None)["sessions"]
        if sessions and sessions[-1]["batches_trained"] >= batches:
            return str(sessions[-1]["session_id"])
        time.sleep(0.05)
    raise AssertionError("nothing trains")


def test_a_fit_in_a_cell_blocks_and_shows_the_live_view(notebook: Cells) -> None:
    """The cell ends with the training; in its output the widget has made room for the picture of the training that ended."""
    seen = notebook.ok(FIT % ("False", 2))
    assert "after the fit" in seen.printed["stdout"]
    assert any("application/vnd.jupyter.widget-view+json" in message["content"].get("data", {}) for message in notebook.messages)
    (text,) = ended_views(seen)
    assert text.startswith(":Tiny: finished · 20 batches")
    assert notebook.value("det is __import__('detjupyter.compat.determined', fromlist=['x'])") == "True"


def test_the_cells_source_is_the_code_of_the_run(notebook: Cells) -> None:
    """The stored code is the cell in which the class was written; the session is the current one and can be used by magics."""
    notebook.ok(FIT % ("False", 1))
    assert notebook.value("[entry.path for entry in detjupyter.current_session().files().included]") == "['Tiny.py']"
    assert notebook.value("detjupyter.current_session().run.code['Tiny.py'].decode().strip().startswith('class Tiny(')") == "True"
    notebook.ok("%det_step 3")
    assert notebook.value("detjupyter.current_session().batches_trained") == "13"
    assert notebook.value("detjupyter.current_session().run.hyperparameters") == "{'lr': 0.1}"


def test_a_mistake_in_the_cells_trial_is_reported_with_the_cells_line(notebook: Cells) -> None:
    """The error names the line of the cell, without a frame of ours."""
    seen = notebook.run(FIT % ("'fails'", 1))
    assert "ZeroDivisionError" in seen.message
    assert "return 1 / (batch_idx - batch_idx)" in seen.message
    assert "after the fit" not in seen.text


def test_a_fit_is_paused_resumed_and_stopped_from_the_sidebar(notebook: Cells) -> None:
    """While it is paused the cell waits, so that nothing after `fit` runs on half a training; when it is stopped the cell continues."""
    cell = notebook.begin(FIT % ("True", 100_000))
    session = when_training(notebook, 3)
    notebook.control({"kind": "pause"}, session)
    wait_until(lambda: notebook.control(None)["sessions"][0]["state"] == "paused")
    held = notebook.control(None)["sessions"][0]["batches_trained"]
    notebook.hear(0.3)
    assert "after the fit" not in notebook.shown[cell].text
    notebook.control({"kind": "resume"}, session)
    when_training(notebook, held + 2)
    notebook.control({"kind": "stop"}, session)
    seen = notebook.finish(cell)
    assert "after the fit" in seen.printed["stdout"]
    assert notebook.value("trainer.session.state") == "'stopped'"


def test_an_interrupt_gives_the_cell_back_with_the_training_paused(notebook: Cells) -> None:
    """The stop button of the notebook raises a KeyboardInterrupt, and `%det_resume` continues in the background."""
    cell = notebook.begin(FIT % ("True", 100_000))
    when_training(notebook, 3)
    notebook.manager.interrupt_kernel()
    seen = notebook.finish(cell)
    assert "KeyboardInterrupt" in seen.message
    assert notebook.value("trainer.session.state") == "'paused'"
    before = int(notebook.value("trainer.session.batches_trained"))
    notebook.ok("%det_resume")
    when_training(notebook, before + 2)
    notebook.ok("%det_stop")


def test_a_script_of_the_core_api_reports_into_a_run_that_is_shown(notebook: Cells) -> None:
    """It has a live view, and then a picture; the run is in the history."""
    seen = notebook.ok(REPORTS % "step == 7")
    (text,) = ended_views(seen)
    assert text.startswith("script: finished · 7 batches")
    assert notebook.value("detjupyter.run(context.run_id).metrics('loss')[0].tolist()") == "[1, 2, 3, 4, 5, 6, 7]"
    assert notebook.control(None)["sessions"] == []


def test_a_script_is_stopped_from_the_sidebar(notebook: Cells) -> None:
    """The sidebar sees it while it runs; its stop button is what `should_preempt` tells."""
    cell = notebook.begin(REPORTS % "False")
    name = when_training(notebook, 3)
    refused = notebook.control({"kind": "pause"}, name)
    assert "only available command is stop" in refused["error"]
    assert notebook.control({"kind": "stop"}, None)["error"] is None
    seen = notebook.finish(cell)
    assert "after the script" in seen.printed["stdout"]
    assert notebook.value("detjupyter.run(context.run_id).state") == "'stopped'"


SCRIPT = """
import sys, time
import determined as det
info = det.get_cluster_info()
with det.core.init() as context:
    for step in range(1, int(sys.argv[1]) + 1):
        context.train.report_training_metrics(steps_completed=step, metrics={"loss": info.trial.hparams["lr"] / step})
        if context.preempt.should_preempt():
            break
        time.sleep(0.02)
    if "--fail" in sys.argv:
        raise RuntimeError("as asked")
print("after", sys.argv[1:])
"""


@pytest.fixture
def script(directory: Path) -> Path:
    """A script next to a config with the hyperparameter `lr`."""
    (directory / "tiny.yaml").write_text("hyperparameters: {lr: 2.0}\n")
    (directory / "report.py").write_text(SCRIPT)
    return directory / "report.py"


def test_a_script_file_runs_with_a_config(cells: Cells, script: Path) -> None:
    """`%det_script` shows it live, returns its run, and passes on the arguments that are not its own."""
    seen = cells.ok("run = %det_script report.py --config tiny.yaml --hparam lr=4.0 5 --config 'a b'")
    assert "after ['5', '--config', 'a b']" in seen.printed["stdout"]
    (text,) = ended_views(seen)
    assert text.startswith("report: finished · 5 batches")
    assert cells.value("run.metrics('loss')[1].tolist()[0], run.hyperparameters, run.state") == "(4.0, {'lr': 4.0}, 'finished')"
    cells.ok("again = %det_script --config tiny.yaml report.py -- 3 --hparam x")
    assert cells.value("again.metrics('loss')[1].tolist()[0], again.config['entrypoint']") == "(2.0, 'python3 report.py 3 --hparam x')"
    assert cells.value("'report.py' in __import__('sys').argv") == "False"


def test_a_script_file_is_stopped_from_the_sidebar(cells: Cells, script: Path) -> None:
    """Like a script in a cell; an interrupt ends it, too."""
    cell = cells.begin("run = %det_script report.py --config tiny.yaml 100000")
    name = when_training(cells, 3)
    assert cells.control({"kind": "stop"}, name)["error"] is None
    cells.finish(cell)
    assert cells.value("run.state") == "'stopped'"
    cell = cells.begin("%det_script report.py --config tiny.yaml 100000")
    when_training(cells, 3)
    cells.manager.interrupt_kernel()
    assert "KeyboardInterrupt" in cells.finish(cell).message
    assert cells.value("detjupyter.runs()[0].state") == "'interrupted'"


def test_a_script_file_that_fails_is_reported_with_its_line(cells: Cells, script: Path) -> None:
    """Without a frame of ours; bad arguments of the magic are one line."""
    seen = cells.run("%det_script report.py --config tiny.yaml 2 --fail")
    assert 'raise RuntimeError("as asked")' in seen.message
    assert "detjupyter/" not in seen.message
    assert "no such script" in cells.run("%det_script nothing.py").message
    assert "no closing quotation" in cells.run("%det_script 'report.py").complaint
    (script.parent / "quiet.py").write_text("print('quiet')\n")
    assert "reported nothing" in cells.ok("%det_script quiet.py").text
    assert {"report.py", "quiet.py"} <= set(cells.complete("%det_script "))
    assert "tiny.yaml" in cells.complete("%det_script report.py --config ")


SETS_EVERYTHING = """
import builtins, decimal, gc, logging, os, random, signal, sys, time, warnings
import numpy as np
import torch

print("the same numbers", random.random(), np.random.rand(), torch.rand(1).item())
torch.set_default_dtype(torch.float64)
torch.set_default_device("meta")
torch.use_deterministic_algorithms(True)
torch.set_float32_matmul_precision("high")
torch.backends.cudnn.benchmark = True
torch.set_grad_enabled(False)
np.seterr(over="raise")
decimal.getcontext().prec = 5
gc.disable()
sys.excepthook = lambda *_: None
sys.displayhook = print
signal.signal(signal.SIGINT, signal.default_int_handler if "interrupted" in sys.argv else signal.SIG_IGN)
signal.signal(signal.SIGALRM, lambda *_: None)
signal.alarm(3600)
warnings.filterwarnings("ignore", message="of the script")
logging.basicConfig(level=logging.DEBUG, force=True)
logging.getLogger("asyncio").disabled = True
logging.getLogger("of.the.script").addHandler(logging.StreamHandler())
os.chdir("/")
sys.path.insert(0, "/of/the/script")
random.seed(1), np.random.seed(1), torch.manual_seed(1)
sys.stdout = sys.stderr
if "failed" in sys.argv:
    raise RuntimeError("as asked")
if "interrupted" in sys.argv:
    print("waiting", file=sys.__stderr__)
    open(sys.argv[2], "w").close()
    time.sleep(600)
"""

STATE = """
def state():
    import decimal, gc, logging, os, random, signal, sys, warnings, numpy as np
    logged = [logging.root, logging.getLogger("asyncio"), logging.getLogger("of.the.script")]
    found = [np.geterr(), decimal.getcontext().prec, gc.isenabled(), sys.excepthook, sys.displayhook, sys.stdout, os.getcwd(), sys.path[:],
             [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGALRM)], signal.getitimer(signal.ITIMER_REAL)[0],
             warnings.filters[:], [(one.level, one.disabled, one.handlers[:]) for one in logged],
             random.getstate(), str(np.random.get_state())]
    torch = sys.modules.get("torch")
    if torch is not None:
        found += [torch.get_default_dtype(), torch.zeros(1).device, torch.are_deterministic_algorithms_enabled(), torch.is_grad_enabled(),
                  torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark]
        found += [torch.get_rng_state().tolist()] if is_torch_compared else []
    return found
"""


@pytest.fixture
def sets(directory: Path) -> Path:
    """A script that sets everything that a script can set."""
    (directory / "sets.py").write_text(SETS_EVERYTHING)
    return directory / "sets.py"


def test_what_a_script_sets_is_restored_at_its_end(cells: Cells, sets: Path) -> None:
    """Also if it fails or is interrupted; the next cell finds the settings, handlers and random states from before."""
    cells.ok(f"import torch\nis_torch_compared = True\n{STATE}")
    (sets.parent / "quiet.py").write_text("")
    cells.ok("%det_script quiet.py\nbefore = state()")  # detjupyter's own imports set filters of warnings, too
    first = cells.ok("%det_script sets.py")
    assert cells.value("[pair for pair in zip(before, state(), strict=True) if pair[0] != pair[1]]") == "[]"
    second = cells.ok("%det_script sets.py")
    assert first.printed["stdout"].split("\n")[0] != second.printed["stdout"].split("\n")[0]
    assert "as asked" in cells.run("%det_script sets.py failed").message
    assert cells.value("[pair for pair in zip(before, state(), strict=True) if pair[0] != pair[1]]") == "[]"
    is_waiting = sets.with_name("is_waiting")
    cell = cells.begin(f"%det_script sets.py interrupted {is_waiting}")
    wait_until(is_waiting.exists)
    cells.manager.interrupt_kernel()
    assert "KeyboardInterrupt" in cells.finish(cell).message
    assert cells.value("[pair for pair in zip(before, state(), strict=True) if pair[0] != pair[1]]") == "[]"
    assert cells.ok("1 + 1").result["text/plain"] == "2"


def test_what_a_script_sets_in_a_library_that_it_imports_first_is_restored(cells: Cells, sets: Path) -> None:
    """A cell that imports torch later finds torch's own defaults, and random states that the script has not seeded."""
    cells.ok(f"is_torch_compared = False\n{STATE}\nbefore = state()[:10]\n%det_script sets.py")
    assert cells.value("state()[:10] == before") == "True"
    cells.ok("import torch")
    assert cells.value("state()[-6:]") == "[torch.float32, device(type='cpu'), False, True, 'highest', False]"
    assert cells.value("torch.initial_seed() == 1, any('of the script' in str(one) for one in state()[10])") == "(False, False)"
