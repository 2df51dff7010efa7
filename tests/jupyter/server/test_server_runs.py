from __future__ import annotations

import asyncio
import json
import math
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.runs import make_session, ready_run
from support.served import Api, Connect, add_curve, make_run
from support.waiting import LIMIT_S, until

from detjupyter.picture.output import ended_bundle
from detjupyter.protocol.outputs import RUN_MIME_TYPE
from detjupyter.protocol.records import BestRecord, CheckpointRecord, HyperparameterChange, LogLine, RunParent
from detjupyter.protocol.states import Group, State
from detjupyter.store import Store
from detjupyter.store.code import CodeSource, CodeStore
from detjupyter.store.lineage import ancestors, whole_curves


async def test_without_a_history_the_list_is_empty(api: Api) -> None:
    """A server that has never seen a run answers with an empty list."""
    assert await api.get("runs") == {"runs": []}


async def test_runs_come_newest_first_and_page_by_page(api: Api, store: Store) -> None:
    """``limit`` and ``before`` walk through the history without gaps or repetitions."""
    for number in range(5):
        store.create_run(make_run(f"run-{number}", created_at=1_000.0 + number))
    first = await api.get("runs", limit=2)
    second = await api.get("runs", limit=2, before="run-3")
    assert [run["id"] for run in first["runs"] + second["runs"]] == ["run-4", "run-3", "run-2", "run-1"]


async def test_a_run_is_answered_as_it_was_written(api: Api, store: Store) -> None:
    """One run carries all fields of its record."""
    store.create_run(make_run("one"))
    run = await api.get("runs/one")
    assert (run["state"], run["hyperparameters"], run["seed"]) == ("finished", {"lr": 0.1}, 7)


async def test_the_picture_of_a_run_is_that_of_its_kernel(api: Api, store: Store) -> None:
    """What the output of a cell holds at the end, to the byte: the reference with the end, PNG, SVG and text, below 40 kB."""
    store.create_run(replace(make_run("one"), session=make_session()))
    add_curve(store, "one", "loss", [1.0, float("nan"), 0.25])
    data = (await api.get("runs/one/picture"))["data"]
    run = store.run("one")
    assert run.session is not None
    ended = replace(run.session, run_id="one", state=run.state, best=run.best)
    assert data == ended_bundle(ended, whole_curves(store, "one").patches({}))
    assert data[RUN_MIME_TYPE]["ended"]["batches_trained"] == run.session.batches_trained
    assert len(data["image/svg+xml"]) + len(data["image/png"]) < 40_000


async def test_a_run_that_has_not_ended_has_no_picture(api: Api, store: Store) -> None:
    """It would be old at once, and the output of the cell is still drawn live."""
    store.create_run(make_run("one", state=State.PAUSED))
    status, answer = await api.refused("runs/one/picture")
    assert (status, answer["message"]) == (409, "The run has not ended.")


async def test_what_names_no_run_is_404(api: Api) -> None:
    """An unknown id and an invalid one look the same to the browser, in every route."""
    for run_id in ("missing", "..", "a.b", "%2e%2e%2fetc", "x" * 81, "a b", "%00"):
        for path in (
            f"runs/{run_id}",
            f"runs/{run_id}/series",
            f"runs/{run_id}/story",
            f"runs/{run_id}/log",
            f"runs/{run_id}/checkpoints",
            f"runs/{run_id}/parent",
            f"runs/{run_id}/picture",
        ):
            status, answer = await api.refused(path)
            assert status == 404, path
            assert "No run has the id" in answer["message"]
            assert answer["hint"] == "`%det_runs` lists the runs."
        status, _ = await api.refused(f"runs/{run_id}", method="DELETE")
        assert status == 404
        status, _ = await api.refused("runs", before=run_id)
        assert status == 404


async def test_arguments_out_of_range_are_400(api: Api, store: Store) -> None:
    """A number that is none, or out of range, is refused with the range."""
    store.create_run(make_run("one"))
    for path, params in (
        ("runs", {"limit": "0"}),
        ("runs", {"limit": "many"}),
        ("runs", {"limit": "-1"}),
        ("runs", {"limit": "9" * 30}),
        ("runs/one/series", {"points": "5000000"}),
        ("runs/one/series", {"points": "١٢"}),
        ("runs/one/series", {"from": "20", "to": "10"}),
        ("runs/one/series", {"from": "-1"}),
    ):
        status, answer = await api.refused(path, **params)
        assert status == 400
        assert "whole number" in answer["message"]


async def test_nan_and_infinities_travel_as_strings(api: Api, store: Store) -> None:
    """What JSON has no word for arrives as the three names of the protocol."""
    store.create_run(make_run("one"))
    add_curve(store, "one", "loss", [1.0, math.nan, math.inf, -math.inf, 2.0])
    (patch,) = (await api.get("runs/one/series"))["patches"]
    assert patch == {
        "group": "training",
        "name": "loss",
        "start": 0,
        "batches": [1, 2, 3, 4, 5],
        "values": [1, "NaN", "Infinity", "-Infinity", 2],
    }


async def test_decimation_keeps_a_spike_and_a_nan(api: Api, store: Store) -> None:
    """Of 200,000 points a browser gets about the requested number, including the only spike and the only NaN."""
    values = np.sin(np.arange(200_000) / 5_000)
    values[123_456] = 1e6
    values[77_777] = math.nan
    store.create_run(make_run("one"))
    add_curve(store, "one", "loss", values)
    (patch,) = (await api.get("runs/one/series", points=500))["patches"]
    assert len(patch["batches"]) == len(patch["values"]) <= 510
    assert patch["values"][patch["batches"].index(123_457)] == 1e6
    assert patch["values"][patch["batches"].index(77_778)] == "NaN"
    assert (patch["batches"][0], patch["batches"][-1]) == (1, 200_000)


async def test_a_range_of_batches_is_exact_and_has_a_neighbor_on_either_side(api: Api, store: Store) -> None:
    """Few points are not decimated, and lines continue beyond the range; a range without points still has its neighbors."""
    store.create_run(ready_run("one"))
    values = np.arange(1.0, 50_001.0)
    add_curve(store, "one", "loss", values)
    for first, last in ((20_000, 20_100), (0, 5), (49_990, 60_000)):
        (patch,) = (await api.get("runs/one/series", points=500, **{"from": first, "to": last}))["patches"]
        expected = list(range(max(1, first - 1), min(50_000, last + 1) + 1))
        assert patch["batches"] == patch["values"] == expected
    (whole,) = (await api.get("runs/one/series", points=500))["patches"]
    (wide,) = (await api.get("runs/one/series", points=500, **{"from": 0, "to": 60_000}))["patches"]
    assert whole == wide
    assert len(whole["batches"]) <= 500


async def test_a_zoom_after_new_points_has_them(api: Api, store: Store) -> None:
    """The curves that the server keeps for the next zoom are read again as soon as the history has changed."""
    store.create_run(ready_run("one"))
    add_curve(store, "one", "loss", [1, 2, 3])
    assert (await api.get("runs/one/series"))["patches"][0]["values"] == [1, 2, 3]
    store.append_series("one", Group.TRAINING, "loss", np.array([4]), np.array([4.0]))
    assert (await api.get("runs/one/series"))["patches"][0]["values"] == [1, 2, 3, 4]


async def test_the_story_of_a_run_has_its_marks_and_the_times_of_its_batches(api: Api, store: Store) -> None:
    """Every kind of event that charts mark, in the order of batches, in words of one line; times ascend from the start to the end."""
    change = HyperparameterChange("lr", 0.1, 0.01, 30)
    session = make_session(hyperparameter_changes=(change,))
    best = BestRecord("accuracy", 0.75, 40, smaller_is_better=False)
    run = replace(ready_run("one"), session=session, best=best, batches_trained=50, ended_at=1100.0)
    store.create_run(run)
    events: list[dict[str, Any]] = [
        {"kind": "state", "state": "running", "batches_trained": 0, "at": 1001.0},
        {"kind": "state", "state": "paused", "batches_trained": 20, "at": 1021.0},
        {"kind": "state", "state": "running", "batches_trained": 20, "at": 1061.0},
        {"kind": "loaded", "batches_trained": 30, "at": 1071.0, "hyperparameters": {}},
        {"kind": "validation", "batches_trained": 40, "at": 1081.0, "metrics": {"accuracy": 0.75, "matrix": [[1]]}},
        {"kind": "checkpoint", "checkpoint": {"id": "c", "batches_trained": 40}, "at": 1082.0},
        {"kind": "moved", "batches_trained": 40, "at": 1083.0, "checkpoint": "c", "run_id": "one"},
        {"kind": "error", "batches_trained": 50, "at": 1099.0, "error": {"message": "two\nlines"}},
        {"kind": "state", "state": "paused", "batches_trained": "many"},
        {"kind": "unheard of"},
    ]
    store.append_events("one", events)
    story = await api.get("runs/one/story")
    assert [(mark["batches_trained"], mark["kind"]) for mark in story["marks"]] == [
        *((20, "pause"), (30, "hyperparameters"), (30, "reload"), (40, "best")),
        *((40, "validation"), (40, "checkpoint"), (40, "restore"), (50, "error")),
    ]
    texts = [mark["text"] for mark in story["marks"]]
    assert "lr: 0.1 → 0.01" in texts
    assert "validation: accuracy 0.75" in texts
    assert texts[-1] == r"failed: two\x0alines"
    assert story["batches"] == sorted(story["batches"])
    assert story["times"] == sorted(story["times"])
    assert (story["times"][0], story["times"][-1]) == (1000, 1100)
    assert story["batches_per_epoch"] == 20
    assert {20: 1061}.items() <= dict(zip(story["batches"], story["times"], strict=True)).items()


async def test_the_mark_of_a_reload_shows_the_changed_lines_of_code(api: Api, store: Store) -> None:
    """Of each file, with the numbers of the lines; much code is cut, and a reload that changed none shows none."""
    first, second, third = (digit * 64 for digit in "abc")
    model = "import torch\n\n\nwidth = 16\n"
    keep_code(store, first, {"model_def.py": model, "const.yaml": "lr: 1\n"})
    keep_code(store, second, {"model_def.py": model.replace("16", "32"), "const.yaml": "lr: 1\n"})
    keep_code(store, third, {"model_def.py": "\n".join(map(str, range(1000))), "const.yaml": "lr: 1\n"})
    store.create_run(replace(ready_run("one"), bundle_hash=first, batches_trained=40))
    for batch, code in ((10, second), (20, None), (30, third), (40, "d" * 64)):
        store.append_events("one", [{"kind": "loaded", "batches_trained": batch, "at": 1000.0 + batch, "hyperparameters": {}}])
        if code is not None:
            store.append_events("one", [{"kind": "code", "batches_trained": batch, "at": 1000.0 + batch, "bundle_hash": code, "load": 1}])
    texts = [mark["text"].splitlines() for mark in (await api.get("runs/one/story"))["marks"]]
    assert texts[:2] == [["code reloaded", "model_def.py", "@@ -1,4 +1,4 @@", "-width = 16", "+width = 32"], ["code reloaded"]]
    assert (len(texts[2]), texts[2][-1]) == (22, "… 987 more lines")
    assert texts[3] == ["code reloaded", "The code 'dddddddddddd' was not stored."]


@pytest.mark.parametrize(
    "event",
    [
        {"kind": "validation", "metrics": {"loss": 10**400}, "at": 1.0, "batches_trained": 3},
        {"kind": "checkpoint", "at": 1.0, "batches_trained": 10**400},
        {"kind": "checkpoint", "at": 1.0, "batches_trained": -5},
        {"kind": "checkpoint", "at": 10**400, "batches_trained": 3},
    ],
)
async def test_a_story_leaves_out_impossible_numbers(api: Api, store: Store, event: dict[str, Any]) -> None:
    """Of a damaged history: the rest of the story is shown."""
    store.create_run(make_run("one"))
    store.append_events("one", [event, {"kind": "state", "state": "paused", "at": 2.0, "batches_trained": 7}])
    story = await api.get("runs/one/story")
    assert (7, "pause") in [(mark["batches_trained"], mark["kind"]) for mark in story["marks"]]
    assert min(story["batches"]) == 0


async def test_a_story_of_very_many_events_is_bounded(api: Api, store: Store) -> None:
    """Validations give way, so that what is rare is still marked."""
    store.create_run(ready_run("one"))
    validations = [{"kind": "validation", "batches_trained": n, "at": 1000.0 + n, "metrics": {"loss": 1.0}} for n in range(5_000)]
    store.append_events("one", [{"kind": "loaded", "batches_trained": 7, "at": 1007.0}, *validations])
    story = await api.get("runs/one/story")
    assert [mark["kind"] for mark in story["marks"]] == ["reload"]
    assert len(story["batches"]) == len(story["times"]) <= 2_000


async def test_the_log_is_its_last_lines(api: Api, store: Store) -> None:
    """A long log is answered from its end, in order."""
    store.create_run(make_run("one"))
    store.append_log("one", [LogLine(at=float(number), stream="stdout", text=f"line {number}") for number in range(2_500)])
    lines = (await api.get("runs/one/log"))["lines"]
    assert (len(lines), lines[0]["text"], lines[-1]["text"]) == (2_000, "line 500", "line 2499")


async def test_the_list_lacks_what_can_be_large(api: Api, store: Store) -> None:
    """Thousands of hyperparameters, config and versions travel only with an opened run; few hyperparameters stay in the list."""
    many = {f"name {number}": number for number in range(2_000)}
    store.create_run(replace(make_run("many"), hyperparameters=many, config={"hyperparameters": many}, versions={"torch": "2"}))
    store.create_run(replace(make_run("few"), hyperparameters={"lr": 0.1}))
    listed = {run["id"]: run for run in (await api.get("runs"))["runs"]}
    assert (listed["few"]["hyperparameters"], listed["many"]["hyperparameters"]) == ({"lr": 0.1}, {})
    assert len(json.dumps(listed["many"])) < 2_000
    whole = await api.get("runs/many")
    assert whole["hyperparameters"] == many
    assert whole["config"] == {"hyperparameters": many}


async def test_the_checkpoints_of_a_run_are_listed_newest_first(api: Api, store: Store) -> None:
    """With batch, metric and size; of this run only."""
    for run_id in ("one", "two"):
        store.create_run(make_run(run_id))
    for number, run_id in enumerate(("one", "one", "two")):
        store.add_checkpoint(CheckpointRecord(f"{run_id}-{number}", run_id, number, float(number), f"/nowhere/{number}", 7, metric=0.5))
    found = (await api.get("runs/one/checkpoints"))["checkpoints"]
    assert [(one["id"], one["batches_trained"], one["size_bytes"], one["metric"]) for one in found] == [
        ("one-1", 1, 7, 0.5),
        ("one-0", 0, 7, 0.5),
    ]
    assert (await api.get("runs/two/checkpoints"))["checkpoints"][0]["id"] == "two-2"


async def test_a_run_that_continues_another_has_its_parent_and_the_curves_up_to_there(api: Api, store: Store, connect: Connect) -> None:
    """Also those of the parent's parent, by both ways to the browser; what a deleted one had is not there."""
    write_family(store)
    assert (await api.get("runs/parent/parent"))["parent"] == {"run_id": "grandparent", "batches_trained": 2}
    assert (await api.get("runs/child/parent"))["parent"] == {"run_id": "parent", "batches_trained": 5}
    assert (await api.get("runs/grandparent/parent"))["parent"] is None
    whole = {"loss": ([1, 2, 3, 4, 5, 6, 7], [0, 0, 1, 1, 1, 2, 2]), "old": ([1, 2], [0, 0]), "new": ([6, 7], [2, 2])}
    assert curves((await api.get("runs/child/series"))["patches"]) == whole
    async with connect() as live:
        await live.watch("child")
        assert curves((await live.next("series"))["patches"]) == whole
    store.delete_run("grandparent")
    assert curves((await api.get("runs/child/series"))["patches"])["loss"] == ([3, 4, 5, 6, 7], [1, 1, 1, 2, 2])
    assert (await api.get("runs/parent/parent"))["parent"] == {"run_id": "grandparent", "batches_trained": 2}


@pytest.mark.parametrize("reader", ["detjupyter.server.curves", "detjupyter.server.tails"], ids=["route", "socket"])
async def test_an_ancestor_deleted_while_it_is_read_costs_its_points_only(
    reader: str, api: Api, store: Store, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By both ways to the browser: the points of the run itself, and of its other ancestors, are there."""

    def found_then_deleted(reading: Store, run_id: str) -> list[RunParent]:
        found = ancestors(reading, run_id)
        store.delete_run("parent")
        return found

    write_family(store)
    monkeypatch.setattr(f"{reader}.ancestors", found_then_deleted)
    if reader.endswith("curves"):
        patches = (await api.get("runs/child/series"))["patches"]
    else:
        async with connect() as live:
            await live.watch("child")
            patches = (await live.next("series"))["patches"]
    assert curves(patches) == {"loss": ([1, 2, 6, 7], [0, 0, 2, 2]), "old": ([1, 2], [0, 0]), "new": ([6, 7], [2, 2])}


def write_family(store: Store) -> None:
    """Write three runs of which each, after the first, continues the one before; the first two had trained further than that."""
    begins = {"grandparent": (0, 4), "parent": (2, 7), "child": (5, 7)}
    for number, (name, (first, last)) in enumerate(begins.items()):
        store.create_run(make_run(name))
        if number:
            before = list(begins)[number - 1]
            store.append_event(name, {"kind": "moved", "run_id": before, "batches_trained": first})
        store.append_event(name, {"kind": "state", "state": "running"})
        batches, values = np.arange(first + 1, last + 1), np.full(last - first, float(number))
        for metric in ("loss", *{"grandparent": ["old"], "child": ["new"]}.get(name, [])):
            store.append_series(name, Group.TRAINING, metric, batches, values)


def curves(patches: Any) -> dict[str, tuple[list[int], list[float]]]:
    """Return the points of each curve by its name."""
    return {patch["name"]: (patch["batches"], patch["values"]) for patch in patches}


async def test_a_deleted_run_is_gone_with_its_checkpoints(api: Api, store: Store, home: Path) -> None:
    """DELETE removes the run from the history and its checkpoints' files from the disk, and nothing else."""
    for run_id in ("one", "two"):
        store.create_run(make_run(run_id))
        directory = home / "checkpoints" / run_id / "c1"
        directory.mkdir(parents=True)
        (directory / "state").write_bytes(b"weights")
    assert (await api.send("DELETE", "runs/one")).code == 204
    assert [run["id"] for run in (await api.get("runs"))["runs"]] == ["two"]
    assert [path.name for path in (home / "checkpoints").iterdir()] == ["two"]


async def test_a_run_under_way_is_not_deleted(api: Api, store: Store) -> None:
    """A live run is refused with 409, and stays."""
    store.create_run(make_run("one", state=State.RUNNING))
    status, answer = await api.refused("runs/one", method="DELETE")
    assert (status, answer["hint"]) == (409, "Stop it first.")
    assert (await api.get("runs/one"))["state"] == "running"


async def test_a_history_that_cannot_be_opened_is_503_and_comes_back(api: Api, home: Path) -> None:
    """A broken store is named, without a traceback, and is tried again at the next request."""
    home.parent.mkdir(exist_ok=True)
    home.write_text("a file where the directory should be")
    status, answer = await api.refused("runs")
    assert status == 503
    assert str(home) in answer["message"]
    home.unlink()
    assert await api.get("runs") == {"runs": []}


async def test_reading_does_not_block_the_server(api: Api, store: Store, jp_serverapp: Any) -> None:
    """During a long read, the server answers other requests."""
    history = jp_serverapp.web_app.settings["detjupyter"].history
    begun, may_end = threading.Event(), threading.Event()

    def read_long(_store: Store) -> bool:
        begun.set()
        return may_end.wait(LIMIT_S)

    task = asyncio.ensure_future(history.read(read_long))
    try:
        await until(begun.is_set)
        await api.get("runs")
        assert not task.done()
    finally:
        may_end.set()
    assert await task


async def test_a_killed_writer_leaves_an_interrupted_run(api: Api, writer: Callable[[str], subprocess.Popen[str]]) -> None:
    """A run whose process is gone is interrupted, with all that was written."""
    process = writer(
        "store.create_run(make_run('killed', state=State.RUNNING)); add_curve(store, 'killed', 'loss', [3.0, 2.0])\n"
        "print('written', flush=True); time.sleep(60)"
    )
    assert process.stdout.readline() == "written\n"
    assert (await api.get("runs/killed"))["state"] == "running"
    process.kill()
    process.wait()
    assert (await api.get("runs/killed"))["state"] == "interrupted"
    assert (await api.get("runs/killed/series"))["patches"][0]["values"] == [3, 2]


def keep_code(store: Store, bundle_hash: str, files: dict[str, str]) -> None:
    """Store the code of a bundle."""
    sources = [CodeSource(path, False, len(text), text.encode()) for path, text in files.items()]
    CodeStore(store.home).keep(bundle_hash, sources)
