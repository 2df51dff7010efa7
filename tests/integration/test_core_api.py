"""``determined.core``: a script that reports by itself is a run of the history."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import detjupyter as dj
from detjupyter.compat.determined import core
from detjupyter.definition.trial import InvalidHP
from detjupyter.errors import ArgumentError, CheckpointError, SessionError, TrialUsageError
from detjupyter.protocol.commands import Pause, Stop
from detjupyter.session.registry import Viewable, registry

SCRIPT = """
import determined as det

def main(stop_at=None, fail=False):
    with det.core.init() as context:
        assert det.get_cluster_info() is None
        for op in context.searcher.operations():
            for step in range(1, 6):
                context.train.report_training_metrics(steps_completed=step, metrics={"loss": 1 / step, "note": "text"})
                context.train.report_progress(step / 5)
                if step == 3:
                    context.train.report_validation_metrics(steps_completed=step, metrics={"error": 0.5})
                    with context.checkpoint.store_path({"steps_completed": step}) as (path, storage_id):
                        (path / "weights.txt").write_text("three")
                if step == stop_at:
                    stop()
                if context.preempt.should_preempt():
                    break
                if fail:
                    raise RuntimeError("out of luck")
            op.report_completed(0.5)
        return context.run_id, storage_id, context
"""


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Viewable]:
    """Return the output that the user sees."""
    found: list[Viewable] = []
    monkeypatch.setattr(registry, "show", found.append)
    return found


@pytest.fixture
def script(tmp_path: Path) -> Any:
    """Import the script as a definition does, under its own `determined`."""
    (tmp_path / "script.py").write_text(SCRIPT)
    from detjupyter.definition.isolation.imports import DefinitionScope

    return DefinitionScope(tmp_path).import_module("script")


def test_reports_become_a_run(script: Any, shown: list[Viewable]) -> None:
    """Metrics, a validation and a checkpoint, with what it was stored with; a view was there from the start."""
    run_id, storage_id, context = script.main()
    run = dj.run(run_id)
    assert run.state == "finished"
    batches, loss = run.metrics("loss")
    assert batches.tolist() == [1, 2, 3, 4, 5]
    assert loss.tolist() == [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]
    assert run.metrics("error", "validation")[0].tolist() == [3]
    assert [checkpoint.id for checkpoint in run.checkpoints()] == [storage_id]
    assert context.checkpoint.get_metadata(storage_id) == {"steps_completed": 3}
    with context.checkpoint.restore_path(storage_id) as path:
        assert (path / "weights.txt").read_text() == "three"
    assert [one.channel.record().run_id for one in shown] == [run_id]


def test_the_stop_button_is_heard_and_nothing_else(script: Any, shown: list[Viewable]) -> None:
    """A pause is refused with a sentence."""

    def stop() -> None:
        with pytest.raises(SessionError, match="only available command is stop") as refused:
            shown[0].channel.send(Pause()).result()
        assert refused.value.state == "running"
        shown[0].channel.send(Stop()).result()

    script.stop = stop
    run_id, _, _ = script.main(stop_at=4)
    assert dj.run(run_id).state == "stopped"
    assert dj.run(run_id).metrics("loss")[0].tolist() == [1, 2, 3, 4]


def test_a_script_that_fails_is_a_run_that_failed(script: Any, shown: list[Viewable]) -> None:
    """Its exception passes through."""
    with pytest.raises(RuntimeError, match="out of luck"):
        script.main(fail=True)
    assert dj.run(str(shown[0].channel.record().run_id)).state == "failed"


def test_a_checkpoint_that_is_not_there(script: Any) -> None:
    """Is named."""
    _, _, context = script.main()
    with pytest.raises(CheckpointError, match="no checkpoint 'nothing'"):
        context.checkpoint.get_metadata("nothing")


def tear(context: Any) -> str:
    """Fail in the middle of storing a checkpoint; return its id."""
    try:
        with context.checkpoint.store_path({"steps_completed": 13}) as (path, storage_id):
            (path / "half.txt").write_text("half")
            raise OSError("no space")
    except OSError:
        return str(storage_id)


def test_checkpoints_are_copied_in_copied_out_and_deleted(tmp_path: Path) -> None:
    """`upload`, `download` and `delete`; a checkpoint of another run can be read, and one that failed half-way leaves nothing."""
    from detjupyter.compat.determined import core

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/weights.txt").write_text("mine")
    with core.init() as first:
        storage_id = first.checkpoint.upload(tmp_path / "mine", {"steps_completed": 12})
        torn = tear(first)
        with pytest.raises(CheckpointError):
            first.checkpoint.download(torn, tmp_path / "torn")
        with pytest.raises(TypeError), first.checkpoint.store_path({"steps_completed": object()}):
            pass
    assert [(one.id, one.batches_trained) for one in dj.run(first.run_id).checkpoints()] == [(storage_id, 12)]
    with core.init() as second:
        second.checkpoint.download(storage_id, tmp_path / "copy")
        assert (tmp_path / "copy/weights.txt").read_text() == "mine"
        second.checkpoint.delete(storage_id)
        for name in (storage_id, "", "..", f"../{storage_id}"):
            with pytest.raises(CheckpointError, match="There is no checkpoint"):
                second.checkpoint.delete(name)
    assert dj.run(first.run_id).checkpoints() == []


def test_groups_of_metrics_keep_their_names_apart() -> None:
    """Metrics of a separate group get the group as a prefix; steps count even if no number is reported."""
    from detjupyter.compat.determined import core

    with core.init() as context:
        context.train.report_metrics("training", 1, {"loss": 1.0})
        context.train.report_metrics("inference", 1, {"loss": 2.0})
        context.train.report_metrics("validation", 4, {"loss": 3.0})
        assert context.train.get_experiment_best_validation() == 3.0
        assert context.train.get_tensorboard_path().is_dir()
        context.train.set_status("looking around")
        with pytest.raises(ValueError, match="from 0 to 1"):
            context.train.report_progress(50)
    run = dj.run(context.run_id)
    assert sorted(run.metric_names("training")) == ["inference/loss", "loss"]
    assert run.metrics("loss", "validation")[1].tolist() == [3.0]
    assert run.record.batches_trained == 4
    assert "looking around" in [line.text for line in run.log()]


@pytest.mark.parametrize(
    ("raised", "state"),
    [
        (KeyboardInterrupt(), "interrupted"),
        (SystemExit(0), "finished"),
        (SystemExit(1), "failed"),
        (InvalidHP("too large"), "stopped"),
    ],
)
def test_how_a_script_ends_is_how_its_run_ends(raised: BaseException, state: str) -> None:
    """A script that is interrupted, ends normally, fails, or stops because of invalid hyperparameters gives a run in the matching state."""
    from detjupyter.compat.determined import core

    with pytest.raises(type(raised)), core.init() as context:
        raise raised
    assert dj.run(context.run_id).state == state
    assert registry.scripts() == []


def test_a_script_that_says_that_it_ends_early_was_stopped() -> None:
    """`report_early_exit` tells why."""
    from detjupyter.compat.determined import core

    with core.init() as context:
        context.train.report_early_exit(core.EarlyExitReason.INVALID_HP)
    assert dj.run(context.run_id).state == "stopped"
    assert any("INVALID_HP" in line.text for line in dj.run(context.run_id).log())


def test_a_context_of_several_processes_or_that_was_not_begun_is_refused() -> None:
    """Both say what to do."""
    from detjupyter.compat.determined import core

    with pytest.raises(ArgumentError, match="in one process, not in 8"):
        core.init(distributed=type("Eight", (), {"size": 8})())
    with pytest.raises(TrialUsageError, match="not started"):
        _ = core.init().train


def test_one_context_for_the_whole_process(shown: list[Viewable]) -> None:
    """`core_v2.init` begins a run of the given name and hyperparameters, the next `init` or `close` ends it."""
    from detjupyter.compat.determined.experimental import core_v2

    with pytest.raises(TrialUsageError, match="not started"):
        _ = core_v2.train
    core_v2.init(defaults=core_v2.DefaultConfig(name="cells", hparams={"lr": 0.1}), unmanaged=core_v2.UnmanagedConfig(project="p"))
    core_v2.train.report_training_metrics(1, {"loss": 1.0})
    assert not core_v2.preempt.should_preempt()
    assert [script.session_id for script in registry.scripts()] == ["cells"]
    core_v2.init(defaults=core_v2.DefaultConfig(name="cells"))
    core_v2.close()
    core_v2.close()
    first, second = (dj.run(str(one.channel.record().run_id)) for one in shown)
    assert first.hyperparameters == {"lr": 0.1}
    assert first.config["project"] == "p"
    assert [first.state, second.state] == ["finished", "finished"]


@pytest.mark.parametrize(("end", "state"), [("", "finished"), ("raise ValueError('no')", "failed")])
def test_a_script_that_closes_nothing_ends_with_its_process(end: str, state: str, tmp_path: Path) -> None:
    """The end of the process is the end of the run: through, or failed."""
    text = "from detjupyter.compat.determined.experimental import core_v2\ncore_v2.init()\n"
    text += "core_v2.train.report_training_metrics(1, {'loss': 1.0})\n"
    (tmp_path / "script.py").write_text(text + end)
    subprocess.run([sys.executable, "script.py"], cwd=tmp_path, check=False, capture_output=True)
    (run,) = [run for run in dj.runs() if run.record.definition_root == str(tmp_path)]
    assert run.state == state


class TestScripts:
    """What a script may call without a cluster."""

    def test_every_call_of_a_script_is_answered(self, tmp_path: Path) -> None:
        """One operation of length 1; reports, files for TensorBoard and the modes of `init` are taken."""
        with core.init(
            distributed=None,
            checkpoint_storage=str(tmp_path),
            preempt_mode=core.PreemptMode.WorkersAskChief,
            tensorboard_mode=core.TensorboardMode.AUTO,
        ) as made:
            operations = list(made.searcher.operations())
            assert [operation.length for operation in operations] == [1]
            operations[0].report_progress(0.5)
            made.train.report_training_metrics(steps_completed=2, metrics={"loss": 1.0}, batch_metrics=[{"loss": 3.0}, {"loss": 4.0}])
            made.train.report_validation_metrics(steps_completed=2, metrics={"error": 0.5})
            made.train.upload_tensorboard_files()
            operations[0].report_completed(0.5)
            assert (made.distributed.rank, made.distributed.size, made.distributed.get_rank()) == (0, 1, 0)
            assert made.preempt.should_preempt() is False
        run = dj.run(made.run_id)
        assert [series.tolist() for series in run.metrics("loss")] == [[2], [1.0]]

    def test_a_checkpoint_that_does_not_say_how_far_it_is_counts_as_the_beginning(self) -> None:
        """Off a cluster `steps_completed` may be missing, and so may all metadata."""
        with core.init() as made:
            with made.checkpoint.store_path({"mine": 1}) as (path, first):
                assert isinstance(path, Path)
                (path / "weights.txt").write_text("mine")
            with made.checkpoint.store_path() as (path, second):
                (path / "weights.txt").write_text("more")
            assert made.checkpoint.get_metadata(first)["mine"] == 1
        counts: Mapping[str, int] = {one.id: one.batches_trained for one in dj.run(made.run_id).checkpoints()}
        assert counts == {first: 0, second: 0}
