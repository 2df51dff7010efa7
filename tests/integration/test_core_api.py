"""``determined.core``: a script that reports by itself is a run of the history."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import detjupyter as dj
from detjupyter.compat.determined import core
from detjupyter.compat.determined.experimental import core_v2
from detjupyter.definition.trial import InvalidHP
from detjupyter.errors import ArgumentError, CheckpointError, SessionError, TrialUsageError, UnsupportedError
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
    with pytest.raises(type(raised)), core.init() as context:
        raise raised
    assert dj.run(context.run_id).state == state
    assert registry.scripts() == []


def test_a_script_that_says_that_it_ends_early_was_stopped() -> None:
    """`report_early_exit` tells why."""
    with core.init() as context:
        context.train.report_early_exit(core.EarlyExitReason.INVALID_HP)
    assert dj.run(context.run_id).state == "stopped"
    assert any("INVALID_HP" in line.text for line in dj.run(context.run_id).log())


def test_a_context_of_several_processes_or_that_was_not_begun_is_refused() -> None:
    """Both say what to do."""
    with pytest.raises(ArgumentError, match="in one process, not in 8"):
        core.init(distributed=type("Eight", (), {"size": 8})())
    with pytest.raises(TrialUsageError, match="not started"):
        _ = core.init().train


def test_one_context_for_the_whole_process(shown: list[Viewable]) -> None:
    """`core_v2.init` begins a run of the given name and hyperparameters, the next `init` or `close` ends it."""
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

    @pytest.mark.parametrize("call", ["init", "init_context"])
    def test_a_misspelled_argument_is_refused(self, call: str) -> None:
        """No setting is lost in silence."""
        with pytest.raises(TypeError, match="nmae"):
            getattr(core_v2, call)(nmae="x").__enter__()
        with pytest.raises(TypeError, match="config"):
            core.init(config={"name": "x"})  # type: ignore[call-arg]
        assert registry.scripts() == []

    def test_the_files_of_a_checkpoint_are_selected(self, tmp_path: Path) -> None:
        """A selector sees each file by its path in the checkpoint, when it is uploaded and when it is downloaded."""
        for name in ("a.txt", "deep/b.txt", "deep/c.bin"):
            (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "mine" / name).write_text(name)
        with core.init() as made:
            whole = made.checkpoint.upload(tmp_path / "mine")
            text = made.checkpoint.upload(tmp_path / "mine", selector=lambda path: path.endswith(".txt"))
            made.checkpoint.download(text, tmp_path / "text")
            made.checkpoint.download(whole, tmp_path / "one", selector=lambda path: path == "deep/c.bin")
        found = {
            name: sorted(p.relative_to(tmp_path / name).as_posix() for p in (tmp_path / name).rglob("*.*")) for name in ("text", "one")
        }
        assert found == {"text": ["a.txt", "deep/b.txt", "metadata.json"], "one": ["deep/c.bin"]}

    def test_metrics_of_a_script_are_recorded_like_those_of_a_trial(self) -> None:
        """Nested ones by their path, lists by their mean; the others are named once."""
        nested = {"box": {"AP": 0.5, "by": {"size": [1.0, 2.0]}}, "text": "x"}
        with core.init() as made:
            for step in (1, 2):
                made.train.report_training_metrics(step, nested)
                made.train.report_validation_metrics(step, nested)
        run = dj.run(made.run_id)
        for group in ("training", "validation"):
            assert sorted(run.metric_names(group)) == ["box/AP", "box/by/size"]
            assert run.metrics("box/by/size", group)[1].tolist() == [1.5, 1.5]
        assert sum("'text' (text)" in line.text for line in run.log()) == 1


class TestSeveralProcesses:
    """``DistributedContext``, whose constructors are for the processes of a launcher."""

    @pytest.mark.parametrize("name", ["from_torch_distributed", "from_deepspeed", "from_tf_config", "from_horovod"])
    def test_the_guard_of_many_scripts_works(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without a launcher there is an error that is both a KeyError and ours, in plain words; then the script trains in one process."""
        monkeypatch.delenv("WORLD_SIZE", raising=False)
        with pytest.raises(KeyError) as refused:
            getattr(core.DistributedContext, name)(*(["hvd"] if name == "from_horovod" else []))
        assert isinstance(refused.value, UnsupportedError)
        assert str(refused.value).startswith(f"DistributedContext.{name}() needs")
        assert "Leave `distributed` out" in str(refused.value)
        with core.init(distributed=None) as context:
            context.train.report_training_metrics(1, {"loss": 1.0})

    def test_a_launcher_of_one_process_is_a_world_of_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Several are refused as what they are."""
        monkeypatch.setenv("WORLD_SIZE", "1")
        with core.DistributedContext.from_torch_distributed() as world, core.init(distributed=world) as context:
            assert (world.rank, world.size, context.distributed.size) == (0, 1, 1)
        monkeypatch.setenv("WORLD_SIZE", "4")
        with pytest.raises(UnsupportedError, match="not as rank 0 of 4") as refused:
            core.DistributedContext.from_torch_distributed()
        assert not isinstance(refused.value, KeyError)

    def test_its_arguments(self) -> None:
        """A world of one can be written out; one of two cannot."""
        world = core.DistributedContext(rank=0, size=1, local_rank=0, local_size=1, cross_rank=0, cross_size=1, chief_ip=None)
        assert world.allgather(3) == [3]
        with pytest.raises(UnsupportedError, match="not as rank 1 of 2"):
            core.DistributedContext(rank=1, size=2)


class TestResuming:
    """Runs with external ids continue each other."""

    @pytest.fixture(autouse=True)
    def closed(self) -> Iterator[None]:
        """No run stays open."""
        yield
        core_v2.close()

    def test_the_last_checkpoint_of_the_same_ids_is_the_one_to_continue_from(self) -> None:
        """Of the newest run that has one, not of another trial, and not of a run that has none."""
        ids = {"external_experiment_id": "e", "external_trial_id": "t"}
        core_v2.init(config=core_v2.Config(name="first", hparams={"lr": 1}, **ids))
        assert core_v2.info.latest_checkpoint is None
        assert core_v2.info.trial.hparams == {"lr": 1}
        assert core_v2.info._trial_info.experiment_id == core_v2.info.trial.experiment_id
        stored = []
        for step in (1, 2):
            with core_v2.checkpoint.store_path({"steps_completed": step}) as (path, storage_id):
                (path / "step.txt").write_text(str(step))
            stored.append(storage_id)
        core_v2.init(config=core_v2.Config(name="other", external_experiment_id="e", external_trial_id="u"))
        assert core_v2.info.latest_checkpoint is None
        core_v2.init(unmanaged=core_v2.UnmanagedConfig(**ids))  # has no checkpoint
        core_v2.init(config=core_v2.Config(**ids))
        assert core_v2.info.latest_checkpoint == stored[-1]
        with core_v2.checkpoint.restore_path(core_v2.info.latest_checkpoint) as path:
            assert (path / "step.txt").read_text() == "2"
        run_id = core_v2.url_reverse_webui_exp_view().split('"')[1]
        core_v2.close()
        assert dj.run(run_id).config["external_trial_id"] == "t"

    def test_after_a_stop_in_another_process(self, tmp_path: Path) -> None:
        """The same script twice: the second process continues from the checkpoint of the first."""
        (tmp_path / "script.py").write_text(
            "from detjupyter.compat.determined.experimental import core_v2\n"
            "core_v2.init(config=core_v2.Config(name='x', external_experiment_id='two', external_trial_id='processes'))\n"
            "first, latest = 0, core_v2.info.latest_checkpoint\n"
            "if latest is not None:\n"
            "    with core_v2.checkpoint.restore_path(latest) as path:\n"
            "        first = int((path / 'step').read_text())\n"
            "for step in range(first, first + 2):\n"
            "    core_v2.train.report_training_metrics(step + 1, {'loss': float(step)})\n"
            "with core_v2.checkpoint.store_path({'steps_completed': step + 1}) as (path, _):\n"
            "    (path / 'step').write_text(str(step + 1))\n"
            "core_v2.close()\n"
        )
        for _ in range(2):
            subprocess.run([sys.executable, "script.py"], cwd=tmp_path, check=True)
        runs = [run for run in dj.runs() if run.record.definition_root == str(tmp_path)]
        assert [run.metrics("loss")[1].tolist() for run in runs] == [[2.0, 3.0], [0.0, 1.0]]

    def test_a_refused_call_leaves_the_open_run(self) -> None:
        """A mistake in the arguments of the next one does not end it."""
        core_v2.init()
        for wrong in ({"client": object()}, {"distributed": type("Two", (), {"size": 2})()}):
            with pytest.raises((UnsupportedError, ArgumentError)):
                core_v2.init(**wrong)
        core_v2.train.report_training_metrics(1, {"loss": 1.0})

    def test_a_client_of_a_cluster_is_refused(self) -> None:
        """And nothing is begun."""
        with pytest.raises(UnsupportedError, match="no cluster"):
            core_v2.init(client=object())
        with pytest.raises(TrialUsageError, match="not started"):
            core_v2.url_reverse_webui_exp_view()


class TestLength:
    """``context.searcher`` when the config has a length."""

    @pytest.mark.parametrize(
        ("max_length", "length", "unit"),
        [
            ({"epochs": 3}, 3, core.Unit.EPOCHS),
            ({"batches": 100}, 100, core.Unit.BATCHES),
            (7, 7, None),
            (None, 1, None),
            ("absent", 1, None),
        ],
    )
    def test_the_operation_is_as_long_as_the_config_says(self, max_length: Any, length: int, unit: core.Unit | None) -> None:
        """In its unit, if it has one."""
        searcher = {"name": "single", **({} if max_length == "absent" else {"max_length": max_length})}
        with core_v2.init_context(config=core_v2.Config(searcher=searcher)) as context:
            assert [operation.length for operation in context.searcher.operations()] == [length]
            assert context.searcher.get_configured_units() is unit
            context.profiler.on()
            context.profiler.off()
