"""A run leaves the history as a data frame, CSV, Parquet, a page or event files, read here with the libraries that users read them with."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.runs import make_run
from support.sqlite import write_sql
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import detjupyter as dj
from detjupyter.errors import ArgumentError, ExportError, MissingPackageError, RunNotFoundError
from detjupyter.protocol.events import Failed, Moved, Until, Warned
from detjupyter.protocol.records import ErrorRecord, LogLine
from detjupyter.protocol.states import Group, State
from detjupyter.protocol.wire import encode
from detjupyter.store import Store, open_store
from detjupyter.store.history import Run

ODD_NAME = 'a,"b"\n<i>/ü'
MISSING = math.nan


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return a history with one run: two training metrics, one of which is not in every batch, and one validation metric."""
    store = open_store(tmp_path / "home" / "runs.sqlite")
    store.create_run(make_run("r1", created_at=1000.0, ended_at=1100.0, batches_trained=4, state=State.FINISHED))
    store.append_series("r1", Group.VALIDATION, "error", np.array([2, 4]), np.array([0.5, math.inf]))
    store.append_series("r1", Group.TRAINING, "loss", np.array([1, 2, 3, 4]), np.array([1.0, 0.1 + 0.2, math.nan, 0.25]))
    store.append_series("r1", Group.TRAINING, ODD_NAME, np.array([3]), np.array([7.0]))
    store.append_event("r1", {"kind": "checkpoint", "batches_trained": 2, "at": 1010.0})
    yield store
    store.close()


@pytest.fixture
def run(store: Store) -> Run:
    """Return the run."""
    return Run(store, "r1")


class TestDataFrames:
    """``to_frame`` and ``runs_frame``."""

    def test_a_run_has_a_row_for_each_batch(self, run: Run) -> None:
        """Values are exact, and missing ones are NaN."""
        frame = run.to_frame()
        assert frame.index.name == "batch"
        assert list(frame.columns) == ["training/loss", f"training/{ODD_NAME}", "validation/error"]
        assert frame.loc[2].tolist()[::2] == [0.1 + 0.2, 0.5]
        assert frame["validation/error"].dropna().to_dict() == {2: 0.5, 4: math.inf}
        assert frame.index.tolist() == [1, 2, 3, 4]

    def test_a_run_without_metrics_is_an_empty_frame(self, store: Store) -> None:
        """It has an index and no column."""
        store.create_run(make_run("empty"))
        frame = Run(store, "empty").to_frame()
        assert (frame.shape, frame.index.name) == ((0, 0), "batch")

    def test_runs_have_a_row_each(self, monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
        """With what they were trained with; a hyperparameter that one of them lacks is missing there."""
        monkeypatch.setattr("detjupyter.store.history.open_store", lambda: store)
        store.create_run(make_run("r2", hyperparameters={"lr": 0.5, "net": {"width": 3}}, best=None))
        frame = dj.runs_frame()
        assert frame.index.tolist() == ["r2", "r1"]
        assert frame["hparam.lr"].tolist() == [0.5, 0.1]
        assert frame.loc["r2", "hparam.net.width"] == 3
        assert pd.isna(frame.loc["r1", "hparam.net.width"])
        assert frame.loc["r1", "created"] == pd.Timestamp(1000, unit="s", tz="UTC")
        assert frame.loc["r1", "training.loss"] == 0.25
        assert dj.runs_frame(state="finished").index.tolist() == ["r1"]

    def test_no_runs_are_an_empty_frame(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Not an error."""
        empty = open_store(tmp_path / "other" / "runs.sqlite")
        monkeypatch.setattr("detjupyter.store.history.open_store", lambda: empty)
        assert dj.runs_frame().empty
        empty.close()

    def test_a_damaged_run_hides_no_other(self, monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
        """Another version of detjupyter has written it: it is in no list of runs."""
        monkeypatch.setattr("detjupyter.store.history.open_store", lambda: store)
        store.create_run(make_run("odd", state=State.FINISHED, ended_at=1.0))
        write_sql(store.home / "runs.sqlite", "UPDATE runs SET session = '[]' WHERE id = 'odd'")
        assert dj.runs_frame().index.tolist() == ["r1"]


class TestFiles:
    """``export`` to a file."""

    def test_csv_has_what_the_frame_has(self, run: Run, tmp_path: Path) -> None:
        """A NaN that was reported is ``nan``, a missing value is empty; names with commas and quotes are names."""
        path = run.export(tmp_path / "new folder" / "run.CSV")
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        assert header == ["batch", "training/loss", f"training/{ODD_NAME}", "validation/error"]
        assert rows[1] == ["2", repr(0.1 + 0.2), "", "0.5"]
        assert rows[2] == ["3", "nan", "7.0", ""]
        pd.testing.assert_frame_equal(pd.read_csv(path, index_col="batch"), run.to_frame())

    def test_parquet_tells_nan_from_missing(self, run: Run, tmp_path: Path) -> None:
        """And has the same values."""
        from pyarrow import parquet

        table = parquet.read_table(run.export(tmp_path / "run.parquet"))
        assert table.column("batch").to_pylist() == [1, 2, 3, 4]
        assert table.column(f"training/{ODD_NAME}").to_pylist() == [None, None, 7.0, None]
        loss = table.column("training/loss").to_pylist()
        assert math.isnan(loss[2])
        assert loss[:2] == [1.0, 0.1 + 0.2]

    def test_a_run_without_metrics_has_a_header_only(self, store: Store, tmp_path: Path) -> None:
        """In both kinds of files."""
        store.create_run(make_run("empty"))
        run = Run(store, "empty")
        assert run.export(tmp_path / "run.csv").read_text() == "batch\n"
        assert len(pd.read_parquet(run.export(tmp_path / "run.parquet"))) == 0

    def test_what_is_there_is_kept(self, run: Run, tmp_path: Path) -> None:
        """Unless the user wants it replaced; also a link that leads nowhere."""
        path = tmp_path / "run.csv"
        path.write_text("mine")
        with pytest.raises(ExportError, match="exists already"):
            run.export(path)
        assert path.read_text() == "mine"
        run.export(path, overwrite=True)
        assert path.read_text().startswith("batch,")
        link = tmp_path / "link.csv"
        link.symlink_to(tmp_path / "nowhere.csv")
        with pytest.raises(ExportError, match="exists already"):
            run.export(link)

    @pytest.mark.parametrize("name", ["run.csv", "run.parquet", "run/"])
    def test_a_place_that_can_not_be_written_is_one_error(self, name: str, run: Run, tmp_path: Path) -> None:
        """And nothing is left there."""
        (tmp_path / "file").write_text("x")
        with pytest.raises(ExportError, match=r"was not written to .*: File exists\. Nothing was changed\.\n  in .*/file$"):
            run.export(f"{tmp_path}/file/{name}")
        for overwrite in (False, True):
            with pytest.raises(ExportError, match="File name too long"):
                run.export(f"{tmp_path}/{'x' * 300}{name}", overwrite=overwrite)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "home"]

    @pytest.mark.parametrize("name", ["run", "run.xlsx", ".csv"])
    def test_a_name_of_no_format_names_the_formats(self, name: str, run: Run, tmp_path: Path) -> None:
        """Before anything is read or written."""
        with pytest.raises(ArgumentError, match=r"(?s)does not say a format.*\.csv, \.parquet, \.html.*TensorBoard"):
            run.export(tmp_path / name)

    def test_a_deleted_run_is_that_error(self, run: Run, store: Store, tmp_path: Path) -> None:
        """And nothing is written."""
        store.delete_run("r1")
        with pytest.raises(RunNotFoundError):
            run.export(tmp_path / "run.csv")
        assert [path.name for path in tmp_path.iterdir()] == ["home"]

    @pytest.mark.parametrize(("package", "name"), [("pyarrow", "run.parquet"), ("tensorboard.summary.writer.event_file_writer", "run/")])
    def test_a_missing_package_is_named(self, package: str, name: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """With the command that installs it."""
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(MissingPackageError, match=f"pip install {package.partition('.')[0]}"):
            run.export(f"{tmp_path}/{name}")
        assert [path.name for path in tmp_path.iterdir()] == ["home"]

    def test_frames_without_pandas_name_it(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """With the command that installs it."""
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(MissingPackageError, match="pip install pandas"):
            run.to_frame()


class TestPages:
    """``export`` to HTML; tests/ui opens one in a browser."""

    def test_names_and_output_can_not_end_a_script_or_add_an_element(self, store: Store, tmp_path: Path) -> None:
        """Wherever they are: metrics, hyperparameters, entrypoint, log, events."""
        evil = "</script><img src=x onerror=alert(1)>{title}\x1b[31m"
        store.create_run(make_run("evil", entrypoint=evil, definition=evil, hyperparameters={evil: evil}))
        store.append_series("evil", Group.TRAINING, evil, np.array([1]), np.array([1.0]))
        store.append_log("evil", [LogLine(0.0, "stdout", evil)])
        store.append_event("evil", {"kind": evil, "at": 0.0, "batches_trained": 1})
        page = Run(store, "evil").export(tmp_path / "run.html").read_text(encoding="utf-8")
        assert page.count("</script>") == 4
        assert "<img" not in page
        assert "\x1b" not in page

    def test_events_say_what_happened(self, store: Store, tmp_path: Path) -> None:
        """A failure and a warning with their texts, a restore with its checkpoint, unless Determined wrote that."""
        error = ErrorRecord("ValueError", "ValueError in your code.", "")
        for event in (Failed(error, 1), Warned("No parameter changed.", Until.TRAINING), Moved(1, 8, "r0", "r0-1"), Moved(1, 8)):
            store.append_event("r1", {"at": 0.0, **encode(event)})
        page = Run(store, "r1").export(tmp_path / "run.html").read_text(encoding="utf-8")
        for text in ("failed: ValueError in your code.", "warning: No parameter changed.", "restored r0-1", "restored a checkpoint"):
            assert f"<td>{text}</td>" in page

    def test_100_000_points_are_less_than_a_megabyte(self, store: Store, tmp_path: Path) -> None:
        """Also values that no compression makes smaller; longer curves are reduced."""
        draws = np.random.default_rng(0)
        for name, points in (("long", 100_000), ("longer", 400_000)):
            store.create_run(make_run(name))
            store.append_series(name, Group.TRAINING, "loss", np.arange(1, points + 1), draws.normal(size=points))
        assert Run(store, "long").export(tmp_path / "long.html").stat().st_size < 1_000_000
        assert Run(store, "longer").export(tmp_path / "longer.html").stat().st_size < 1_500_000

    def test_without_the_browser_side_it_says_how_to_build_it(self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """In a fresh checkout."""
        monkeypatch.setattr("detjupyter.store.export.page._VIEW", tmp_path / "none.js")
        with pytest.raises(ExportError, match="make build"):
            run.export(tmp_path / "run.html")
        assert [path.name for path in tmp_path.iterdir()] == ["home"]


class TestEventFiles:
    """``export`` to a directory."""

    def read(self, directory: Path) -> EventAccumulator:
        """Read a directory as TensorBoard does."""
        events = EventAccumulator(str(directory), size_guidance={"scalars": 0})
        events.Reload()
        return events

    def test_have_every_metric_by_batch(self, run: Run, tmp_path: Path) -> None:
        """With times between the events of the run."""
        events = self.read(run.export(f"{tmp_path}/run/"))
        assert sorted(events.Tags()["scalars"]) == sorted(["training/loss", f"training/{ODD_NAME}", "validation/error"])
        loss = events.Scalars("training/loss")
        assert [scalar.step for scalar in loss] == [1, 2, 3, 4]
        assert [scalar.wall_time for scalar in loss] == [1005, 1010, 1055, 1100]
        assert loss[1].value == pytest.approx(0.3)
        assert math.isnan(loss[2].value)
        assert [(scalar.step, scalar.value) for scalar in events.Scalars("validation/error")] == [(2, 0.5), (4, math.inf)]

    def test_have_the_hyperparameters_as_text(self, run: Run, tmp_path: Path) -> None:
        """As TensorBoard's Text tab shows it."""
        events = self.read(run.export(f"{tmp_path}/run/"))
        text = events.Tensors("hyperparameters")[0].tensor_proto.string_val[0].decode()
        assert '"lr": 0.1' in text

    def test_times_after_a_restore_never_go_back(self, store: Store, tmp_path: Path) -> None:
        """The batches that count are those after the restore."""
        store.create_run(make_run("r2", created_at=0.0, ended_at=100.0, batches_trained=4, state=State.FINISHED))
        store.append_series("r2", Group.TRAINING, "loss", np.array([1, 2, 3, 4, 3, 4]), np.arange(6.0))
        for batches, at in [(2, 20.0), (4, 40.0), (2, 60.0)]:
            store.append_event("r2", {"kind": "moved", "batches_trained": batches, "at": at})
        events = self.read(Run(store, "r2").export(f"{tmp_path}/run/"))
        assert [(scalar.step, scalar.wall_time) for scalar in events.Scalars("training/loss")] == [(1, 10), (2, 20), (3, 80), (4, 100)]

    def test_replace_a_directory_only_if_asked(self, run: Run, tmp_path: Path) -> None:
        """And never a directory by a file, or a file by a directory."""
        path = run.export(f"{tmp_path}/run/")
        with pytest.raises(ExportError, match="exists already"):
            run.export(f"{tmp_path}/run/")
        run.export(f"{tmp_path}/run/", overwrite=True)
        assert len(list(path.iterdir())) == 1
        (tmp_path / "folder.csv").mkdir()
        with pytest.raises(ExportError, match="is a directory"):
            run.export(tmp_path / "folder.csv", overwrite=True)
        (tmp_path / "file").write_text("mine")
        with pytest.raises(ExportError, match="is a file"):
            run.export(f"{tmp_path}/file/", overwrite=True)
        assert (tmp_path / "file").read_text() == "mine"

    def test_a_directory_with_other_files_is_never_replaced(self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It can be a project or a home, by its name or as the working directory; nothing in it is lost."""
        project = tmp_path / "project"
        (project / "events.out.tfevents.sub").mkdir(parents=True)
        (project / "events.out.tfevents.sub" / "mine").write_text("mine")
        notes = tmp_path / "notes"
        run.export(f"{notes}/")
        (notes / "notes.md").write_text("mine")
        monkeypatch.chdir(notes)
        for target in (f"{project}/", f"{notes}/", "./"):
            with pytest.raises(ExportError, match="has other files than an export"):
                run.export(target, overwrite=True)
        assert (project / "events.out.tfevents.sub" / "mine").read_text() == (notes / "notes.md").read_text() == "mine"
