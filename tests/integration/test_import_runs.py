"""Runs of other tools come into the history: CSV files, and event files that the real writers wrote."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.runs import make_run
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util.tensor_util import make_tensor_proto
from torch.utils.tensorboard import SummaryWriter

import detjupyter as dj
from detjupyter.errors import ArgumentError, MissingPackageError
from detjupyter.protocol.states import Group, State
from detjupyter.store import Store, open_store
from detjupyter.store.history import Run


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Store]:
    """Return an empty history, in which the calls of the tests look."""
    store = open_store(tmp_path / "home" / "runs.sqlite")
    for module in ("history", "import_runs"):
        monkeypatch.setattr(f"detjupyter.store.{module}.open_store", lambda: store)
    yield store
    store.close()


def write(path: Path, text: str) -> Path:
    """Write a file, with its directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


class TestCsv:
    """A row for each step, a column for each metric."""

    def test_is_a_finished_run_with_its_metrics(self, tmp_path: Path) -> None:
        """By the step's column; names say which are of validations, and an empty cell is skipped."""
        path = write(tmp_path / "old" / "first.csv", "Step,loss,val_loss,eval/f1\n10,0.5,,\n20,nan,0.25,0.75\n30,-inf,,\n")
        (run,) = dj.import_runs(path)
        assert (run.state, run.record.entrypoint, run.record.batches_trained) == ("finished", "first", 30)
        batches, values = run.metrics("loss")
        assert batches.tolist() == [10, 20, 30]
        assert (values[0], math.isnan(values[1]), values[2]) == (0.5, True, -math.inf)
        assert run.metrics("val_loss", "validation")[0].tolist() == [20]
        assert run.metrics("eval/f1", "validation")[1].tolist() == [0.75]
        assert [one.id for one in dj.runs(where="val_loss < 0.3")] == [run.id]

    def test_without_steps_rows_are_counted(self, tmp_path: Path) -> None:
        """From 1."""
        (run,) = dj.import_runs(write(tmp_path / "a.csv", "\ufeffloss\n3\n2\n"))
        assert [column.tolist() for column in run.metrics("loss")] == [[1, 2], [3.0, 2.0]]

    def test_steps_that_go_back_replace_what_was_there(self, tmp_path: Path) -> None:
        """As after a restore."""
        (run,) = dj.import_runs(write(tmp_path / "a.csv", "step,loss\n1,1\n2,2\n3,3\n2,20\n"))
        assert [column.tolist() for column in run.metrics("loss")] == [[1, 2], [1.0, 20.0]]

    def test_columns_of_text_are_named_once(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """And the numbers are imported."""
        with caplog.at_level(logging.WARNING, "detjupyter"):
            (run,) = dj.import_runs(write(tmp_path / "a.csv", "step,loss,note\n1,1,first\n2,2,second\n"))
        assert run.metric_names() == ["loss"]
        assert [record.getMessage().rpartition(": ")[2] for record in caplog.records] == ["note."]

    @pytest.mark.parametrize("step", ["1.5", "-1", "x", "", "1e30", "nan"])
    def test_a_step_that_is_none_names_its_line(self, step: str, tmp_path: Path) -> None:
        """And nothing is imported, also of the other files of the directory."""
        write(tmp_path / "old" / "a.csv", "step,loss\n1,1\n")
        write(tmp_path / "old" / "b.csv", f"step,loss\n1,1\n{step},2\n")
        with pytest.raises(ArgumentError, match=r"(?s)is not a step.*b\.csv, line 3"):
            dj.import_runs(tmp_path / "old")
        assert dj.runs() == []

    @pytest.mark.parametrize("content", [b"\xff\xfe\x00", b'a,b\n"' + b"x" * 200_000 + b'"\n'])
    def test_a_file_that_can_not_be_read_is_one_error(self, content: bytes, tmp_path: Path) -> None:
        """With its name."""
        (tmp_path / "a.csv").write_bytes(content)
        with pytest.raises(ArgumentError, match=r"a\.csv cannot be read"):
            dj.import_runs(tmp_path / "a.csv")

    @pytest.mark.parametrize("content", ["", "step,loss\n"])
    def test_a_file_without_values_is_a_run_without_metrics(self, content: str, tmp_path: Path) -> None:
        """It is listed, and its frame is empty."""
        (run,) = dj.import_runs(write(tmp_path / "a.csv", content))
        assert run.to_frame().empty


class TestEventFiles:
    """What TensorBoard reads."""

    def test_every_directory_is_a_run(self, tmp_path: Path) -> None:
        """Named by its path, with the times of its values; CSV files of the directory are runs, too."""
        for name, scale in (("a", 1.0), ("b/c", 2.0)):
            writer = SummaryWriter(str(tmp_path / "old" / name))
            for step in range(3):
                writer.add_scalar("train/loss", scale * step, step, walltime=1000.0 + step)
                writer.add_scalar("validation/loss", -scale * step, step, walltime=1000.0 + step)
            writer.add_text("note", "not a number")
            writer.close()
        write(tmp_path / "old" / "d.csv", "loss\n1\n")
        runs = dj.import_runs(tmp_path / "old")
        assert [run.record.entrypoint for run in runs] == ["d", "a", "b/c"]
        assert runs[2].metrics("train/loss")[1].tolist() == [0, 2, 4]
        assert runs[2].metrics("loss", "validation")[1].tolist() == [0, -2, -4]
        assert (runs[1].record.created_at, runs[1].record.ended_at) == (1000.0, 1002.0)

    def test_scalars_of_tensorflow_2_are_read(self, tmp_path: Path) -> None:
        """They are tensors with a plugin's name."""
        writer = SummaryWriter(str(tmp_path / "old"))
        writer.add_scalar("loss", 0.5, 7, new_style=True)
        writer.close()
        (run,) = dj.import_runs(tmp_path / "old")
        assert [column.tolist() for column in run.metrics("loss")] == [[7], [0.5]]

    @pytest.mark.parametrize("value", [np.zeros(0, np.float32), np.array(b"text", object), np.array(1j, np.complex64)])
    def test_tensors_that_are_not_numbers_are_left_out(self, value: np.ndarray[Any, Any], tmp_path: Path) -> None:
        """Strings, complex numbers and empty tensors; the scalars of the same file are read."""
        metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="scalars"))
        tensor = Summary.Value(tag="odd", tensor=make_tensor_proto(value), metadata=metadata)
        writer = EventFileWriter(str(tmp_path / "old"))
        writer.add_event(Event(wall_time=5.0, step=1, summary=Summary(value=[tensor, Summary.Value(tag="loss", simple_value=0.5)])))
        writer.close()
        (run,) = dj.import_runs(tmp_path / "old")
        assert run.metric_names() == ["loss"]

    @pytest.mark.parametrize("at", [math.nan, math.inf, -math.inf, 1e300, -1.0])
    def test_times_outside_of_every_calendar_do_not_count(self, at: float, tmp_path: Path) -> None:
        """A damaged file has them. The run can be listed, put into a frame and exported."""
        writer = EventFileWriter(str(tmp_path / "old"))
        for wall_time, step in ((at, 1), (1000.0, 2)):
            writer.add_event(Event(wall_time=wall_time, step=step, summary=Summary(value=[Summary.Value(tag="loss", simple_value=0.5)])))
        writer.close()
        (run,) = dj.import_runs(tmp_path / "old")
        assert (run.record.created_at, run.record.ended_at) == (1000.0, 1000.0)
        assert run.metrics("loss")[0].tolist() == [1, 2]

    def test_without_the_package_it_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """With the command that installs it."""
        write(tmp_path / "old" / "events.out.tfevents.1", "")
        monkeypatch.setitem(sys.modules, "tensorboard.backend.event_processing.event_accumulator", None)
        with pytest.raises(MissingPackageError, match="pip install tensorboard"):
            dj.import_runs(tmp_path / "old")


class TestMistakes:
    """One error, and the history is as before."""

    def test_nothing_there(self, tmp_path: Path) -> None:
        """A path that is not there, an empty directory, a file of another kind, one event file."""
        (tmp_path / "empty").mkdir()
        for path in (tmp_path / "empty", write(tmp_path / "a.txt", "x")):
            with pytest.raises(ArgumentError, match="nothing to import"):
                dj.import_runs(path)
        for path in (tmp_path / "nowhere", tmp_path / "nowhere.csv"):
            with pytest.raises(ArgumentError, match=r"There is no file or directory .*nowhere"):
                dj.import_runs(path)
        with pytest.raises(ArgumentError, match="Give its directory"):
            dj.import_runs(write(tmp_path / "old" / "events.out.tfevents.1", ""))
        assert dj.runs() == []


@pytest.mark.parametrize("name", ["run.csv", "run/"])
def test_an_exported_run_comes_back(name: str, store: Store, tmp_path: Path) -> None:
    """With the same curves; event files have float32."""
    store.create_run(make_run("r1", state=State.FINISHED, created_at=5.0, ended_at=9.0))
    store.append_series("r1", Group.TRAINING, "loss", np.array([1, 2, 3]), np.array([0.1, math.nan, math.inf]))
    store.append_series("r1", Group.VALIDATION, "error", np.array([2]), np.array([0.25]))
    path = Run(store, "r1").export(f"{tmp_path}/{name}")
    (run,) = dj.import_runs(path)
    assert run.metrics("loss")[0].tolist() == [1, 2, 3]
    np.testing.assert_allclose(run.metrics("loss")[1], [0.1, math.nan, math.inf], rtol=1e-7)
    assert [column.tolist() for column in run.metrics("error", "validation")] == [[2], [0.25]]
