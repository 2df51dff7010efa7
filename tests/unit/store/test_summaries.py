"""Summaries of runs that another version wrote, or a damaged disk."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from support.runs import make_run
from support.sqlite import write_sql

from detjupyter.protocol.states import State
from detjupyter.store import open_store


@pytest.mark.parametrize(
    "damage",
    [
        "session = '[]'",
        "session = '{\"latest\":'",
        'session = \'{"latest": {"training": 3}}\'',
        'session = \'{"elapsed_s": "soon"}\'',
        "hyperparameters = '{'",
        "hyperparameters = '{}, {}'",
        "hyperparameters = '[]'",
        "best = '{}'",
        "best = '3'",
        "state = 'flying'",
        "seed = 'x'",
    ],
)
def test_a_damaged_run_hides_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str) -> None:
    """It is left out, and named once."""
    store = open_store(tmp_path / "runs.sqlite")
    for run_id in ("before", "odd", "after"):
        store.create_run(make_run(run_id, state=State.FINISHED, ended_at=1.0))
    write_sql(tmp_path / "runs.sqlite", f"UPDATE runs SET {damage} WHERE id = 'odd'")
    with caplog.at_level(logging.WARNING, "detjupyter"):
        assert [run.id for run in store.summaries()] == ["after", "before"]
        assert [run.id for run in store.summaries_of(["before", "odd"])] == ["before"]
    assert [record.getMessage().split(" cannot")[0] for record in caplog.records] == ["The run 'odd' in the history"]
    store.close()
