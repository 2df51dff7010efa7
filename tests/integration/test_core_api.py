"""``determined.core``: a script that reports by itself is a run of the history."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import detjupyter as dj
from detjupyter.errors import CheckpointError, SessionError
from detjupyter.protocol.commands import Pause, Stop
from detjupyter.training.registry import registry

if TYPE_CHECKING:
    from detjupyter.training.registry import Shown

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
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Shown]:
    """Return what a person is shown."""
    found: list[Shown] = []
    monkeypatch.setattr(registry, "show", found.append)
    return found


@pytest.fixture
def script(tmp_path: Path) -> Any:
    """Import the script as a definition does, under its own `determined`."""
    (tmp_path / "script.py").write_text(SCRIPT)
    from detjupyter.definition.isolation.imports import DefinitionScope

    return DefinitionScope(tmp_path).import_module("script")


def test_reports_become_a_run(script: Any, shown: list[Shown]) -> None:
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


def test_the_stop_button_is_heard_and_nothing_else(script: Any, shown: list[Shown]) -> None:
    """A pause is refused with a sentence."""

    def stop() -> None:
        with pytest.raises(SessionError, match="only be asked to stop"):
            shown[0].channel.send(Pause()).result()
        shown[0].channel.send(Stop()).result()

    script.stop = stop
    run_id, _, _ = script.main(stop_at=4)
    assert dj.run(run_id).state == "stopped"
    assert dj.run(run_id).metrics("loss")[0].tolist() == [1, 2, 3, 4]


def test_a_script_that_fails_is_a_run_that_failed(script: Any, shown: list[Shown]) -> None:
    """Its exception passes through."""
    with pytest.raises(RuntimeError, match="out of luck"):
        script.main(fail=True)
    assert dj.run(str(shown[0].channel.record().run_id)).state == "failed"


def test_a_checkpoint_that_is_not_there(script: Any) -> None:
    """Is named."""
    _, _, context = script.main()
    with pytest.raises(CheckpointError, match="no checkpoint 'nothing'"):
        context.checkpoint.get_metadata("nothing")
