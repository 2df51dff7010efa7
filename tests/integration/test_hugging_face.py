"""``DetCallback`` with Hugging Face's own ``Trainer``, on a tiny model that the test makes."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from detjupyter.protocol.commands import Stop
from detjupyter.scripts.running import run_script
from detjupyter.session.registry import registry

pytestmark = pytest.mark.filterwarnings("default")  # those of the library are not ours

SCRIPT = """
import sys
import determined as det
import torch
from determined.transformers import DetCallback
from transformers import Trainer, TrainingArguments

class Line(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(1, 1)

    def forward(self, x, labels):
        y = self.linear(x)
        return {"loss": ((y - labels) ** 2).mean(), "logits": y}

torch.manual_seed(0)
rows = [{"x": torch.tensor([float(i)]), "labels": torch.tensor([2.0 * i])} for i in range(8)]
info = det.get_cluster_info()
arguments = TrainingArguments(
    "out", max_steps=int(info.trial.hparams["steps"]), per_device_train_batch_size=2, learning_rate=0.05, lr_scheduler_type="constant",
    logging_steps=2, eval_strategy="steps", eval_steps=3, save_steps=4, report_to=[], use_cpu=True, disable_tqdm=True, seed=1,
)
with det.core.init() as context:
    callback = DetCallback(context, arguments, filter_metrics=FILTER, user_data={"seen": int(info.trial.hparams["steps"])})
    trainer = Trainer(Line(), arguments, train_dataset=rows, eval_dataset=rows, callbacks=[callback])
    trainer.train(resume_from_checkpoint=arguments.resume_from_checkpoint)
    sys.stdout.write(f"{callback.user_data} {trainer.model.linear.weight.item()!r}\\n")
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A script that trains with Hugging Face's Trainer."""
    (tmp_path / "train.py").write_text(SCRIPT.replace("FILTER", "None"))
    return tmp_path / "train.py"


def test_metrics_and_checkpoints_become_a_run(script: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Training metrics, validations and the Trainer's checkpoints at their steps; the summary is in the log."""
    (run,) = run_script(script, config={"hyperparameters": {"steps": 8}})
    assert run.state == "finished"
    assert run.metrics("loss")[0].tolist() == [2, 4, 6, 8]
    assert run.metrics("eval_loss", "validation")[0].tolist()[:2] == [3, 6]  # newer versions also evaluate at the end
    assert {"learning_rate", "grad_norm"} <= set(run.metric_names("training"))
    assert not {name for name in run.metric_names("training") if "runtime" in name}
    assert any("train_runtime" in line.text for line in run.log())
    assert [checkpoint.batches_trained for checkpoint in run.checkpoints()] == [4, 8]
    assert (Path(run.checkpoints()[0].path) / "trainer_state.json").is_file()


def test_it_continues_from_a_checkpoint_as_if_nothing_had_been(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Half of a training and then the rest, with the files of the first half gone, gives the weights of the whole."""
    run_script(script, config={"hyperparameters": {"steps": 8}})
    whole = capsys.readouterr().out.strip().splitlines()[-1].split()[-1]
    for path in sorted((script.parent / "out").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (half,) = run_script(script, config={"hyperparameters": {"steps": 4}})
    for path in sorted((script.parent / "out").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (rest,) = run_script(script, config={"hyperparameters": {"steps": 8}}, checkpoint="latest")
    assert half.checkpoints()[-1].batches_trained == 4
    assert rest.metrics("loss")[0].tolist() == [6, 8]
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert last == f"{{'seen': 4}} {whole}"


def test_a_stop_request_ends_it_with_a_checkpoint(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the step in which it arrives."""
    monkeypatch.setattr(registry, "show", lambda shown: shown.channel.send(Stop()).result())
    (run,) = run_script(script, config={"hyperparameters": {"steps": 1000}})
    assert run.state == "stopped"
    assert [checkpoint.batches_trained for checkpoint in run.checkpoints()] == [1]


def test_metrics_are_filtered_by_parts_of_their_names(script: Path) -> None:
    """As the script asks."""
    script.write_text(SCRIPT.replace("FILTER", "['loss']"))
    (run,) = run_script(script, config={"hyperparameters": {"steps": 4}})
    assert set(run.metric_names("training")) == {"loss"}
    assert set(run.metric_names("validation")) == {"eval_loss"}


def test_its_older_names_are_the_same_class() -> None:
    """From `determined.experimental.hf_trainer` and from private modules."""
    names: list[Any] = [
        importlib.import_module(f"detjupyter.compat.determined.{name}").DetCallback
        for name in ("transformers", "experimental.hf_trainer", "transformers._hf_callback")
    ]
    assert names[0] is names[1] is names[2]
