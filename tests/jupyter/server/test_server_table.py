"""The table of runs over REST."""

from __future__ import annotations

import json
import math
import os
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.runs import make_run, points
from support.served import Api
from tornado.httpclient import HTTPClientError

from detjupyter.protocol.records import BestRecord, CheckpointRecord, SessionRecord
from detjupyter.protocol.states import Group, State
from detjupyter.store import Store
from detjupyter.store.annotation import Annotation


def add(store: Store, number: int, **changes: Any) -> None:
    """Add a finished run; the accuracy rises with its number."""
    accuracy = number / 10
    session = SessionRecord(f"s{number}", f"run-{number}", "m:T", "digits", "/d", "pytorch", "cpu", elapsed_s=float(number))
    session = replace(session, latest={"validation": {"accuracy": accuracy}, "training": {"loss": 1 - accuracy}})
    best = BestRecord("accuracy", accuracy, 1, smaller_is_better=False)
    values: dict[str, Any] = {"created_at": 1_000.0 + number, "hyperparameters": {"lr": 0.1 ** (number % 3), "width": 3}}
    values |= {"state": State.FINISHED, "ended_at": 2_000.0, "batches_trained": 9}
    store.create_run(make_run(f"run-{number}", **{"session": session, "best": best} | values | changes))


def ids(page: Any) -> list[str]:
    """Return the ids of the runs of a page, and the heads of groups."""
    return [item["id"] if item["kind"] == "run" else f"[{item['by']} {item['value']} {item['count']}]" for item in page["items"]]


async def test_an_empty_history_is_an_empty_table(api: Api) -> None:
    """With no columns."""
    page = await api.get("table")
    assert (page["runs"], page["rows"], page["items"], page["metrics"]) == (0, 0, [], [])
    assert (await api.get("table", where="lr < 1"))["items"] == []


async def test_rows_come_in_pages_with_the_columns_that_were_asked_for(api: Api, store: Store) -> None:
    """Newest first; the names of columns that there are come with them, and which hyperparameters differ."""
    for number in range(6):
        add(store, number)
    columns = json.dumps(["lr", "validation.accuracy", "no"])
    first = await api.get("table", limit=2, columns=columns)
    assert (first["runs"], first["matching"], first["rows"], ids(first)) == (6, 6, 6, ["run-5", "run-4"])
    assert first["items"][0]["values"] == [0.1**2, 0.5, None]
    assert (first["hyperparameters"], first["differing"]) == (["lr", "width"], ["lr"])
    assert first["metrics"] == ["validation.accuracy", "training.loss"]
    assert ids(await api.get("table", limit=3, offset=4)) == ["run-1", "run-0"]
    assert ids(await api.get("table", offset=99)) == []


async def test_rows_are_sorted_by_any_column(api: Api, store: Store) -> None:
    """In both directions, those without a value last; texts are sorted, too."""
    for number in range(4):
        add(store, number)
    add(store, 4, hyperparameters={"lr": "auto"}, session=None, best=None, name="b", created_at=9.0, ended_at=9.5)
    add(store, 5, hyperparameters={}, name="A", best=BestRecord("accuracy", float("nan"), 1, smaller_is_better=False))

    async def order(sort: str, descending: int) -> list[str]:
        return [run.removeprefix("run-") for run in ids(await api.get("table", sort=sort, descending=descending))]

    assert await order("lr", 0) == ["2", "1", "3", "0", "4", "5"]
    assert await order("lr", 1) == ["4", "3", "0", "1", "2", "5"]
    assert await order("best", 1) == ["3", "2", "1", "0", "5", "4"]
    assert (await order("name", 0))[:2] == ["5", "4"]
    assert await order("duration", 0) == ["0", "4", "1", "2", "3", "5"]
    assert await order("started", 0) == ["4", "0", "1", "2", "3", "5"]


async def test_rows_are_filtered_by_text_and_by_condition(api: Api, store: Store) -> None:
    """Every word must be there; a mistake in a condition points at its place, as in Python."""
    for number in range(4):
        add(store, number, tags=("Paper", "x") if number < 2 else (), note="slow start" if number == 1 else "")
    assert ids(await api.get("table", text="paper RUN-1")) == ["run-1"]
    assert ids(await api.get("table", text="slow")) == ["run-1"]
    assert ids(await api.get("table", where="accuracy > 0.1 and 'x' not in tags")) == ["run-3", "run-2"]
    assert ids(await api.get("table", where="accuracy > 0", text="paper")) == ["run-1"]
    assert (await api.get("table/ids", where="accuracy > 0", text="run"))["run_ids"] == ["run-3", "run-2", "run-1"]
    status, answer = await api.refused("table", where="accuracy >")
    assert status == 400
    assert "accuracy >\n" in answer["message"]
    assert answer["message"].rstrip().endswith("^")
    status, answer = await api.refused("table", where="acuracy > 0")
    assert (status, answer["hint"]) == (400, "Did you mean accuracy?")


async def test_rows_are_grouped_and_failed_ones_folded(api: Api, store: Store) -> None:
    """By definition, notebook or code; the runs that failed before their first batch are a closed group at the end."""
    for number in range(3):
        add(store, number, bundle_hash="ab" if number else "cd")
    for number in (3, 4):
        add(store, number, state=State.FAILED, batches_trained=0)
    assert ids(await api.get("table")) == ["run-2", "run-1", "run-0", "[failed  2]"]
    assert ids(await api.get("table", toggled='["failed:"]'))[-3:] == ["[failed  2]", "run-4", "run-3"]
    assert ids(await api.get("table", group="code")) == ["[code ab 2]", "run-2", "run-1", "[code cd 1]", "run-0", "[failed  2]"]
    assert ids(await api.get("table", group="code", toggled='["code:ab"]')) == ["[code ab 2]", "[code cd 1]", "run-0", "[failed  2]"]
    assert (await api.get("table"))["matching"] == 5
    store.delete_run("run-3")
    api_table = await api.get("table", where="batches >= 0")
    assert ids(api_table)[0] in ("run-4", "run-2")


async def test_runs_are_grouped_by_their_notebook(api: Api, store: Store) -> None:
    """Of all kernels that it had; where it is unknown, by the kernel."""
    for number, (kernel_id, notebook) in enumerate([("k1", "/a/x.ipynb"), ("k2", "/a/x.ipynb"), ("k2", None), (None, None)]):
        add(store, number, kernel_id=kernel_id, notebook=notebook)
    assert ids(await api.get("table", group="notebook")) == [
        *("[notebook  1]", "run-3", "[notebook kernel:k2 1]", "run-2"),
        *("[notebook /a/x.ipynb 2]", "run-1", "run-0"),
    ]


async def test_unchanged_rows_are_304(api: Api, store: Store) -> None:
    """With the ETag of the answer; another page, and a change, have another one."""
    add(store, 1)
    etag = (await api.send("GET", "table")).headers["ETag"]
    with pytest.raises(HTTPClientError) as unchanged:
        await api.send("GET", "table", headers={"If-None-Match": etag})
    assert unchanged.value.code == 304
    assert (await api.send("GET", "table", params={"limit": "7"})).headers["ETag"] != etag
    await api.send("POST", "table/annotate", {"run_ids": ["run-1"], "starred": True})
    changed = await api.send("GET", "table", headers={"If-None-Match": etag})
    assert json.loads(changed.body)["items"][0]["starred"]


async def test_the_table_follows_the_history(api: Api, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that others add, change or delete, and a run whose kernel has died."""
    monkeypatch.setattr("detjupyter.server.run_table._LOOK_EVERY_S", 0.0)
    add(store, 1)
    assert ids(await api.get("table")) == ["run-1"]
    add(store, 2, created_at=500.0, updated_at=5.0)
    add(store, 3, state=State.RUNNING, host=socket.gethostname(), pid=os.getpid())
    assert ids(await api.get("table")) == ["run-3", "run-1", "run-2"]
    store.update_run("run-3", state=State.FINISHED, session=None, best=None, batches_trained=77, ended_at=1.0)
    store.delete_run("run-1")
    page = await api.get("table")
    assert [(item["id"], item["batches_trained"]) for item in page["items"]] == [
        ("run-3", 77),
        ("run-2", page["items"][1]["batches_trained"]),
    ]


async def test_a_change_is_found_although_another_run_is_of_the_future(api: Api, store: Store) -> None:
    """An imported run has the times of its file, and a clock can be set back."""
    later = time.time() + 10_000
    add(store, 1, updated_at=later)
    add(store, 2)
    assert ids(await api.get("table")) == ["run-2", "run-1"]
    store.annotate_runs(["run-2"], Annotation("renamed"))
    assert [item["name"] for item in (await api.get("table"))["items"]] == ["renamed", ""]


async def test_several_runs_are_annotated_at_once(api: Api, store: Store) -> None:
    """All or none; archived ones are only there on request."""
    for number in range(3):
        add(store, number)
    await api.send("POST", "table/annotate", {"run_ids": ["run-0", "run-1"], "add_tags": ["x"], "archived": True})
    assert [(run.tags, run.archived) for run in store.summaries()] == [((), False), (("x",), True), (("x",), True)]
    page = await api.get("table")
    assert (ids(page), page["archived"]) == (["run-2"], 2)
    assert ids(await api.get("table", archived=1)) == ["run-2", "run-1", "run-0"]
    for body, status, message in (
        ({"run_ids": ["run-0", "no"], "starred": True}, 404, "No run has the id"),
        ({"run_ids": ["run-0"], "name": "x" * 201}, 400, "at most 200 characters"),
        ({"run_ids": ["run-0"], "name": 3}, 400, "must be a text"),
        ({"run_ids": "run-0"}, 400, "`run_ids` must be a list"),
        ({}, 400, "`run_ids` must be a list"),
        ({"run_ids": ["../x"]}, 404, "No run has the id"),
    ):
        refused = await api.refused("table/annotate", method="POST", body=body)
        assert refused[0] == status, body
        assert message in refused[1]["message"]
    assert not any(run.starred for run in store.summaries())


async def test_several_runs_are_deleted_with_their_files(api: Api, store: Store) -> None:
    """After their size was asked for; a live one among them keeps all."""
    for number in range(3):
        add(store, number)
    directory = Path(store.home) / "checkpoints" / "run-0" / "c"
    directory.mkdir(parents=True)
    store.add_checkpoint(CheckpointRecord("c", "run-0", 1, 1.0, str(directory), 5_000))
    add(store, 9, state=State.RUNNING, host=socket.gethostname(), pid=os.getpid())
    everything = ["run-0", "run-1", "run-9"]
    answer = json.loads((await api.send("POST", "table/size", {"run_ids": everything})).body)
    assert answer == {"runs": 3, "live": 1, "size_bytes": 5_000}
    status, refusal = await api.refused("table/delete", method="POST", body={"run_ids": everything})
    assert (status, "is running" in refusal["message"]) == (409, True)
    assert len(store.summaries()) == 4
    assert directory.exists()
    await api.send("POST", "table/delete", {"run_ids": ["run-0", "run-1"]})
    assert [run.id for run in store.summaries()] == ["run-9", "run-2"]
    assert not directory.exists()
    assert ids(await api.get("table")) == ["run-9", "run-2"]


@pytest.mark.parametrize(
    "query",
    [{"group": "x"}, {"columns": "lr"}, {"columns": "[1]"}, {"columns": "[" * 2_000}, {"toggled": "{"}, {"limit": "501"}, {"offset": "-1"}],
)
async def test_a_wrong_argument_is_400(api: Api, query: dict[str, str]) -> None:
    """With what is possible."""
    status, answer = await api.refused("table", **query)
    assert status == 400
    assert answer["message"]


async def test_runs_are_compared(api: Api, store: Store) -> None:
    """Their curves, what differs, the last, smallest and largest values; of two runs the code, too."""
    for number in range(3):
        add(store, number)
        store.append_series(f"run-{number}", Group.VALIDATION, "accuracy", *points(1, 2_000, 1 + number))
    store.append_series("run-1", Group.TRAINING, "only here", np.array([1, 2]), np.array([math.nan, math.inf]))
    found = await api.get("comparison", runs="run-2,run-1")
    assert [run["id"] for run in found["runs"]] == ["run-2", "run-1"]
    assert found["settings"] == [{"name": "lr", "values": [repr(0.1**2), "0.1"]}]
    accuracy, other = found["metrics"]
    assert (accuracy["newest"], accuracy["smallest"], accuracy["largest"]) == ([6_000.0, 4_000.0], [3.0, 2.0], [6_000.0, 4_000.0])
    assert all(len(curve["values"]) <= 400 for curve in accuracy["curves"])
    assert (other["curves"][0], other["newest"], other["smallest"]) == (None, [None, "Infinity"], [None, None])
    assert "lr" not in found["code"]  # the settings are in the table
    assert [(axis["kind"], axis["name"]) for axis in found["axes"]][:1] == [("hyperparameter", "lr")]
    assert found["axes"][0]["values"] == [0.1**2, 0.1]
    store.append_event("run-1", {"kind": "state", "state": "paused", "batches_trained": 3})
    events = (await api.get("comparison", runs="run-2,run-1"))["events"][1]
    assert [mark["text"] for mark in events["marks"] if mark["kind"] == "pause"] == ["paused"]
    assert events["more"] == 0
    assert (await api.get("comparison", runs="run-0,run-1,run-2"))["code"] == ""
    for runs, status in (("run-1", 400), ("run-1,run-1", 400), ("run-1,no", 404), ("", 404), ("run-1,..", 404)):
        assert (await api.refused("comparison", runs=runs))[0] == status
