"""``run_script``: a script of the Core API in this process, with a config in place of a cluster."""

from __future__ import annotations

import asyncio
import builtins
import logging
import os
import random
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.definition import Definition
from support.waiting import wait_until

import detjupyter as dj
from detjupyter.engine import settings
from detjupyter.errors import ArgumentError, ConfigError, DefinitionNotFoundError, DefinitionSyntaxError, TrialError
from detjupyter.protocol.commands import Stop
from detjupyter.scripts.running import run_script
from detjupyter.session.recorder import Recorder
from detjupyter.session.registry import registry

CONFIG = """
name: tiny
hyperparameters: {lr: 0.5, width: {type: int, minval: 1, maxval: 1000000}}
data: {url: somewhere}
reproducibility: {experiment_seed: 7}
searcher: {name: single, metric: loss, max_length: {batches: 4}}
"""

SCRIPT = """
import argparse, pathlib, determined as det, helper
parser = argparse.ArgumentParser()
parser.add_argument("--fail", action="store_true")
parser.add_argument("words", nargs="*")
arguments = parser.parse_args()
info = det.get_cluster_info()
assert info is not None and info.task_type == "TRIAL" and info.trial.trial_id == 1 and info.user_data == {"url": "somewhere"}
with det.core.init() as context:
    assert context.info is info
    first = 0
    if info.latest_checkpoint is not None:
        with context.checkpoint.restore_path(info.latest_checkpoint) as path:
            first = int((path / "step").read_text())
    (operation,) = context.searcher.operations()
    for step in range(first + 1, first + operation.length + 1):
        context.train.report_training_metrics(step, {"loss": helper.scale(info.trial.hparams["lr"]) / step})
        if arguments.fail:
            raise RuntimeError("as asked")
        if context.preempt.should_preempt():
            break
    with context.checkpoint.store_path({"steps_completed": step}) as (path, _):
        (path / "step").write_text(str(step))
print(*arguments.words, pathlib.Path("beside.txt").read_text(), info.trial.trial_seed)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A script with a module and a file next to it, and a config."""
    (tmp_path / "const.yaml").write_text(CONFIG)
    (tmp_path / "helper.py").write_text("def scale(x):\n    return 2 * x\n")
    (tmp_path / "beside.txt").write_text("text")
    (tmp_path / "train.py").write_text(SCRIPT)
    return tmp_path / "train.py"


def test_a_script_gets_its_config_and_becomes_a_run(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Hyperparameters, seed, data, length and arguments reach it; relative paths start at it; the kernel stays as it was."""
    before = (list(sys.argv), list(sys.path), Path.cwd(), sys.modules["__main__"], set(sys.modules))
    (run,) = run_script(script, ["a b", "c"])
    assert run.state == "finished"
    assert run.metrics("loss")[1].tolist() == [1.0, 1 / 2, 1 / 3, 1 / 4]
    assert run.hyperparameters["lr"] == 0.5
    assert isinstance(run.hyperparameters["width"], int)
    assert run.config["entrypoint"] == "python3 train.py 'a b' c"
    assert capsys.readouterr().out == "a b c text 7\n"
    assert (sys.argv, sys.path, Path.cwd(), sys.modules["__main__"]) == before[:4]
    assert not {"helper", "determined"} & (set(sys.modules) - before[4])


def test_hyperparameters_are_overridden_and_sampled_by_the_seed(script: Path) -> None:
    """As for `dj.load`."""
    (first,) = run_script(script, hparams={"lr": 1.0}, seed=3)
    (second,) = run_script(script, config="const.yaml", seed=3)
    (third,) = run_script(script, config={"data": {"url": "somewhere"}, "hyperparameters": {"lr": 2.0}}, seed=4)
    assert first.metrics("loss")[1][0] == 2.0
    assert first.hyperparameters["width"] == second.hyperparameters["width"]
    assert third.metrics("loss")[0].tolist() == [1]


def test_the_newest_code_runs_each_time(script: Path) -> None:
    """Also of modules that the script imports."""
    run_script(script)
    (script.parent / "helper.py").write_text("def scale(x):\n    return 100 * x\n")
    (run,) = run_script(script)
    assert run.metrics("loss")[1][0] == 50.0


def test_it_continues_from_a_checkpoint(script: Path) -> None:
    """By its id, or the latest one of the same command in the same directory."""
    with pytest.raises(ArgumentError, match=r"No earlier run of `python3 train\.py` has a checkpoint"):
        run_script(script, checkpoint="latest")
    (first,) = run_script(script)
    run_script(script, ["other"])
    (second,) = run_script(script, checkpoint="latest")
    (third,) = run_script(script, checkpoint=first.checkpoints()[0].id)
    (fourth,) = run_script(script, checkpoint="latest")
    assert [run.metrics("loss")[0].tolist() for run in (second, third, fourth)] == [[5, 6, 7, 8], [5, 6, 7, 8], [9, 10, 11, 12]]


def test_an_exception_has_the_frames_of_the_script_only(script: Path) -> None:
    """Its run has failed; nothing stays changed, and the next call works."""
    with pytest.raises(TrialError, match=r"RuntimeError in your code while running train\.py") as raised:
        run_script(script, ["--fail"])
    text = str(raised.value)
    assert "as asked" in text
    assert 'train.py", line' in text
    assert f"{os.sep}detjupyter{os.sep}" not in text
    assert dj.runs()[0].state == "failed"
    assert registry.scripts() == []
    (run,) = run_script(script)
    assert run.state == "finished"


@pytest.mark.parametrize(
    ("end", "state", "error"),
    [
        ("sys.exit()", "finished", None),
        ("sys.exit(0)", "finished", None),
        ("sys.exit(3)", "failed", "SystemExit: 3"),
        ("raise det.InvalidHP('too large')", "stopped", "too large"),
        ("core_v2.close()", "finished", None),
        ("pass", "finished", None),
    ],
)
def test_a_run_that_the_script_leaves_open_ends_with_it(end: str, state: str, error: str | None, tmp_path: Path) -> None:
    """As the script does, not with the kernel."""
    text = "import sys, determined as det\nfrom determined.experimental import core_v2\ncore_v2.init()\n"
    (tmp_path / "script.py").write_text(f"{text}core_v2.train.report_training_metrics(1, {{'loss': 1.0}})\n{end}\n")
    if error is None:
        run_script(tmp_path / "script.py")
    else:
        with pytest.raises(TrialError, match=error):
            run_script(tmp_path / "script.py")
    assert dj.runs()[0].state == state
    assert registry.scripts() == []


def test_the_next_script_begins_its_own_run(tmp_path: Path) -> None:
    """Without ``core_v2.init()`` it gets an error: it must not report into the run of the script before it."""
    (tmp_path / "one.py").write_text("from determined.experimental import core_v2\ncore_v2.init()\n")
    (tmp_path / "two.py").write_text(
        "from determined.experimental import core_v2\ncore_v2.train.report_training_metrics(1, {'loss': 1.0})\n"
    )
    run_script(tmp_path / "one.py")
    with pytest.raises(TrialError, match="core_v2 was not started"):
        run_script(tmp_path / "two.py")


def test_a_slow_history_is_no_error_of_the_script(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is returned, although the history does not contain it yet."""
    monkeypatch.setattr(Recorder, "settle", lambda *_: False)
    (run,) = run_script(script)
    assert run.id


def test_a_stop_request_reaches_the_script(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked while the script runs, as by the button of a view."""
    monkeypatch.setattr(registry, "show", lambda shown: shown.channel.send(Stop()).result())
    (run,) = run_script(script)
    assert run.state == "stopped"
    assert run.metrics("loss")[0].tolist() == [1]


def test_a_trainer_gets_the_config_of_the_script(line: Definition) -> None:
    """`pytorch.init()` without arguments, the lengths, and the checkpoint to continue from."""
    (line.root / "train.py").write_text(
        "import determined as det\nfrom determined import pytorch\nimport model_def\n"
        "info = det.get_cluster_info()\n"
        "with pytorch.init() as context:\n"
        "    trial = model_def.LineTrial(context)\n"
        "    assert context.get_hparam('lr') == 0.125 and context.get_experiment_config()['name'] == 'mine'\n"
        "    pytorch.Trainer(trial, context).fit(max_length=pytorch.Batch(6), latest_checkpoint=info.latest_checkpoint)\n"
        "    assert info.latest_checkpoint is None or trial.context.get_initial_batch() == 6\n"
    )
    config: dict[str, Any] = {"name": "mine", "hyperparameters": {"lr": 0.125}, "reproducibility": {"experiment_seed": 1}}
    (run,) = run_script(line.root / "train.py", config=config)
    assert (run.state, run.hyperparameters["lr"], run.record.batches_trained) == ("finished", 0.125, 6)
    (again,) = run_script(line.root / "train.py", config=config, checkpoint=run.checkpoints()[-1].id)
    assert again.record.batches_trained == 6


def test_objects_of_the_script_can_be_pickled(tmp_path: Path) -> None:
    """A class of the script is found as that of `__main__`, also by worker processes."""
    (tmp_path / "script.py").write_text(
        "import pickle, torch\n"
        "class Data(torch.utils.data.Dataset):\n"
        "    def __len__(self): return 4\n"
        "    def __getitem__(self, i): return i\n"
        "def main():\n"
        "    assert type(pickle.loads(pickle.dumps(Data()))) is Data\n"
        "    for context in ('fork', 'spawn'):\n"
        "        loader = torch.utils.data.DataLoader(Data(), batch_size=2, num_workers=1, multiprocessing_context=context)\n"
        "        assert [batch.tolist() for batch in loader] == [[0, 1], [2, 3]]\n"
        "if __name__ == '__main__':\n    main()\n"
    )
    assert run_script(tmp_path / "script.py") == []


def test_a_script_cannot_close_the_streams_of_the_kernel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Some scripts close their output before they exit; what is printed later still appears."""
    (tmp_path / "script.py").write_text("import sys\nprint('here')\nsys.stdout.close()\nsys.stderr.close()\nsys.__stdout__.close()\n")
    run_script(tmp_path / "script.py")
    sys.stdout.write("there\n")
    assert capsys.readouterr().out == "here\nthere\n"
    assert not sys.stdout.closed
    assert "close" not in vars(sys.stdout)


def test_the_working_directory_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script changes it, with the script's directory or another one as that of the kernel."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "script.py").write_text("import os, tempfile\nos.chdir(tempfile.gettempdir())\n")
    for here in (tmp_path, tmp_path / "elsewhere"):
        monkeypatch.chdir(here)
        run_script(tmp_path / "script.py")
        assert Path.cwd() == here


def test_a_script_that_refuses_its_arguments_says_so(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The parser prints the cause and exits, which a script may do."""
    with pytest.raises(TrialError, match=r"SystemExit: 2") as raised:
        run_script(script, ["--unknown"])
    assert "unrecognized arguments: --unknown" in capsys.readouterr().err
    assert raised.value.hint is not None
    assert "its arguments" in raised.value.hint
    assert "model definition" not in str(raised.value)


def test_an_exit_shows_no_exception_that_led_to_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As at a command line: the parser's own exceptions are not the user's concern."""
    path = tmp_path / "script.py"
    path.write_text("import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--steps', type=int)\nparser.parse_args()\n")
    with pytest.raises(TrialError, match=r"SystemExit: 2") as raised:
        run_script(path, ["--steps", "many"])
    assert "invalid int value: 'many'" in capsys.readouterr().err
    assert "another exception" not in str(raised.value)


def test_a_training_in_the_background_is_not_the_scripts(line: Definition, tmp_path: Path) -> None:
    """Its thread pickles classes of the kernel's `__main__`, and the workers that it spawns do not run the script."""
    line.edit("import torch\n", "import torch\nimport sys\n")
    line.edit("batch_size=4,", "batch_size=4, num_workers=2, multiprocessing_context='spawn',")
    line.edit(
        "x, y = batch\n        loss", "self.main = getattr(sys.modules['__main__'], '__file__', None)\n        x, y = batch\n        loss"
    )
    session = line.load()
    ran = tmp_path / "ran"
    (tmp_path / "script.py").write_text(
        "import pathlib, sys, threading, time\n"
        f"with open({str(ran)!r}, 'a') as file: file.write(__name__ + '\\n')\n"
        "seen = []\n"
        "thread = threading.Thread(target=lambda: seen.append(sys.modules['__main__'].seen))\n"
        "thread.start(); thread.join()\n"
        "assert seen[0] is seen and sys.modules['__main__'].__file__ == __file__\n"
        "for _ in range(600):\n"
        f"    if pathlib.Path({str(ran.with_name('done'))!r}).exists(): break\n"
        "    time.sleep(0.1)\n"
    )
    session.train(batches=12)
    waiting = threading.Thread(target=lambda: (session.wait(), ran.with_name("done").touch()))
    waiting.start()
    run_script(tmp_path / "script.py")
    waiting.join()
    assert session.state == "finished"
    assert session.trial.main == getattr(sys.modules["__main__"], "__file__", None)
    assert ran.read_text().split() == ["__main__"]


def test_the_modules_of_a_script_are_gone_after_it(script: Path) -> None:
    """However often it runs."""
    run_script(script)
    before = set(sys.modules)
    run_script(script)
    assert not {name for name in set(sys.modules) - before if "helper" in name}


def test_bad_input_is_one_clear_error(script: Path, tmp_path: Path) -> None:
    """A missing file, a directory, code that does not compile, and a config that does not parse."""
    with pytest.raises(DefinitionNotFoundError, match="no such script"):
        run_script(tmp_path / "nothing.py")
    with pytest.raises(DefinitionNotFoundError):
        run_script(tmp_path)
    (tmp_path / "bad.py").write_text("x = (\n")
    with pytest.raises(DefinitionSyntaxError, match=r"bad\.py, line 1"):
        run_script(tmp_path / "bad.py")
    with pytest.raises(ConfigError):
        run_script(script, config="nothing.yaml")
    script.write_text("import helper_that_is_missing\n")
    with pytest.raises(TrialError, match="No module named 'helper_that_is_missing'"):
        run_script(script)
    script.write_text("import sys\nsys.exit(3)\n")
    with pytest.raises(TrialError, match="SystemExit: 3") as caught:
        run_script(script)
    assert str(caught.value.hint).startswith("The script ended itself with this status. What it printed may say why")


SETTING_SCRIPT = """
import torch
from determined import pytorch
torch.set_default_dtype(torch.float64)
import model_def
with pytorch.init(hparams={"lr": 0.125}) as context:
    trial = model_def.LineTrial(context)
    pytorch.Trainer(trial, context).fit(max_length=pytorch.Batch(2))
"""


def test_a_trial_that_a_script_builds_keeps_what_the_script_has_set(line: Definition) -> None:
    """Its later batches work with it, too, and neither cells nor other sessions."""
    line.edit("x, y = batch\n        loss", "self.seen = torch.zeros(1).dtype\n        x, y = batch\n        loss")
    other = line.load()
    (line.root / "train.py").write_text(SETTING_SCRIPT)
    run_script(line.root / "train.py")
    session = next(one for one in registry.all() if one is not other)
    assert torch.get_default_dtype() == torch.float32
    assert session.trial.seen == torch.float64
    session.trial.seen = None
    session.train(batches=1, wait=True)
    assert session.trial.seen == torch.float64
    assert torch.get_default_dtype() == torch.float32
    assert other.at_batch(lambda _: torch.zeros(1).dtype) == torch.float32


def test_another_training_keeps_its_settings_and_random_states_while_a_script_runs(line: Definition, tmp_path: Path) -> None:
    """It runs in the background; what the script sets is not attributed to it, nor kept after both."""
    states = random.getstate(), torch.get_rng_state().tolist()
    session = line.load()
    session.train(batches=100_000)
    (tmp_path / "script.py").write_text(
        "import random, torch, warnings\nrandom.seed(1); torch.manual_seed(1); torch.backends.cudnn.benchmark = True\n"
        "import time\ntime.sleep(0.5)\nassert torch.backends.cudnn.benchmark\n"
    )
    run_script(tmp_path / "script.py")
    assert not torch.backends.cudnn.benchmark
    session.pause()
    assert not session.at_batch(lambda _: torch.backends.cudnn.benchmark)
    session.stop()
    session.wait()
    assert (random.getstate(), torch.get_rng_state().tolist()) == states
    assert not torch.backends.cudnn.benchmark


def test_a_script_in_another_thread_restores_what_it_set(tmp_path: Path) -> None:
    """As one in a cell; such a thread cannot set signal handlers."""
    (tmp_path / "script.py").write_text(
        "import logging, numpy as np, torch, warnings\n"
        "torch.set_default_dtype(torch.float64); torch.set_default_device('meta'); np.seterr(over='raise')\n"
        "warnings.filterwarnings('ignore', message='of the script')\nlogging.getLogger().addHandler(logging.StreamHandler())\n"
    )
    filters, handlers = warnings.filters[:], logging.root.handlers[:]
    seen: list[Any] = []

    def run() -> None:
        run_script(tmp_path / "script.py")
        seen.extend((torch.zeros(1).dtype, str(torch.zeros(1).device), np.geterr()["over"]))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [torch.float32, "cpu", "warn"]
    assert (warnings.filters[:], logging.root.handlers[:]) == (filters, handlers)
    assert torch.get_default_dtype() == torch.float32


def test_a_training_that_needs_other_settings_trains_while_a_script_waits_for_it(line: Definition, tmp_path: Path) -> None:
    """Otherwise it waits for the end of the script; both settings are gone after the script."""
    line.edit("self.context = context\n", "self.context = context\n        torch.backends.cudnn.benchmark = True\n")
    session = line.load()
    session.train(batches=1_000_000)
    (tmp_path / "script.py").write_text(
        "import time, torch, detjupyter as dj\n"
        "torch.set_default_dtype(torch.float64)\n"
        "session = dj.current_session()\n"
        "time.sleep(1)\n"
        "before, deadline = session.batches_trained, time.monotonic() + 60\n"
        "time.sleep(2)\n"
        "assert session.batches_trained == before\n"
        "while session.batches_trained < before + 20:\n"
        "    assert time.monotonic() < deadline\n"
        "    session.wait(0.05)\n"
    )
    run_script(tmp_path / "script.py")
    session.stop()
    session.wait()
    assert not torch.backends.cudnn.benchmark
    assert torch.get_default_dtype() == torch.float32
    assert session.at_batch(lambda _: (torch.backends.cudnn.benchmark, torch.get_default_dtype())) == (True, torch.float32)


def test_what_a_script_changes_in_the_interpreter_is_restored(tmp_path: Path) -> None:
    """Scripts for several processes replace ``print``; others trace their calls."""
    (tmp_path / "script.py").write_text(
        "import builtins, os, sys, threading\n"
        "builtins.print = lambda *args: None\nbuiltins.profile = lambda f: f\ndel builtins.input\n"
        "sys.setswitchinterval(0.5)\nthreading.stack_size(1 << 20)\nos.umask(0o777)\n"
        "sys.setprofile(lambda *args: None)\nsys.settrace(lambda *args: None)\n"
    )

    def state() -> tuple[object, ...]:
        umask = os.umask(0o077)
        os.umask(umask)
        return dict(vars(builtins)), sys.getswitchinterval(), threading.stack_size(), umask, sys.getprofile(), sys.gettrace()

    before = state()
    run_script(tmp_path / "script.py")
    assert state() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize(("end", "status"), [("", 0), ("sys.exit(7)", 7), ("sys.exit('no')", 1), ("1 / 0", 1), ("quit()", 0)])
def test_a_process_that_a_script_forks_ends_with_the_script(tmp_path: Path, end: str, status: int) -> None:
    """It does not return to the cell as a second kernel."""
    (tmp_path / "script.py").write_text(
        f"import os, pathlib, sys\nchild = os.fork()\nif child == 0:\n    {end or 'pass'}\n"
        "else:\n    ended = os.waitpid(child, 0)[1]\n    pathlib.Path('status').write_text(str(os.waitstatus_to_exitcode(ended)))\n"
    )
    process = os.getpid()
    try:
        run_script(tmp_path / "script.py")
    finally:
        if os.getpid() != process:
            os._exit(99)
    assert (tmp_path / "status").read_text() == str(status)


def test_a_script_that_has_set_something_loads_a_trial_without_waiting_for_itself(
    line: Definition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The load needs other settings than the script has set, but the script waits for the load."""
    monkeypatch.setattr(settings, "TURN_LIMIT_S", 10_000.0)
    (tmp_path / "script.py").write_text(
        "import warnings, detjupyter as dj\n"
        "warnings.filterwarnings('ignore', message='of the script')\nimport torch\ntorch.set_default_dtype(torch.float64)\n"
        f"session = dj.load(path={str(line.root)!r})\nsession.train(batches=2, wait=True)\nsession.close()\n"
    )
    run_script(tmp_path / "script.py")  # pytest's limit ends a script that waits for itself
    assert dj.runs(1)[0].state == "finished"


def test_scripts_in_two_threads_leave_the_arguments_and_the_main_module(tmp_path: Path) -> None:
    """The second one waits for the end of the first one, since they need other settings."""
    for name, kind in (("one", "float64"), ("two", "float16")):
        (tmp_path / f"{name}.py").write_text(
            "import pathlib, time, torch\n"
            f"torch.set_default_dtype(torch.{kind})\npathlib.Path('began-{name}').touch()\n"
            "while not pathlib.Path('go').exists():\n    time.sleep(0.01)\n"
            f"assert torch.zeros(1).dtype == torch.{kind}\n"
        )
    before = sys.argv, sys.modules["__main__"]
    failed: list[BaseException] = []

    def run(name: str) -> None:
        try:
            run_script(tmp_path / f"{name}.py")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(name,)) for name in ("one", "two")]
    threads[0].start()
    wait_until(lambda: (tmp_path / "began-one").exists())
    threads[1].start()
    wait_until(lambda: bool(settings._process.queue))
    (tmp_path / "go").touch()
    for thread in threads:
        thread.join()
    assert not failed
    assert (sys.argv, sys.modules["__main__"]) == before


def test_a_script_can_run_an_event_loop_in_a_cell(tmp_path: Path) -> None:
    """Although a cell runs inside of the kernel's loop, which continues after the script."""
    (tmp_path / "script.py").write_text(
        "import asyncio, pathlib\nasync def main():\n    await asyncio.sleep(0)\n    return 'ran'\n"
        "pathlib.Path('result').write_text(asyncio.run(main()))\n"
    )

    async def cell() -> asyncio.AbstractEventLoop:
        run_script(tmp_path / "script.py")
        await asyncio.sleep(0)
        return asyncio.get_event_loop()

    with asyncio.Runner() as runner:
        assert runner.run(cell()) is runner.get_loop()
    assert (tmp_path / "result").read_text() == "ran"
