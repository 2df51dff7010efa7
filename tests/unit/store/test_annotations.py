"""Names, notes, tags and stars of runs, and archived runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.runs import make_run

import detjupyter as dj
from detjupyter.errors import ArgumentError, RunNotFoundError
from detjupyter.picture.summary import annotation_text
from detjupyter.protocol.records import BestRecord
from detjupyter.protocol.states import State
from detjupyter.store import Store, open_store
from detjupyter.store.definition_runs import run_named
from detjupyter.widgets.run_table import runs_bundle


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Store]:
    """Return a history of three finished runs, of which the first is the best."""
    store = open_store(tmp_path / "home" / "runs.sqlite")
    for number in range(3):
        best = BestRecord("loss", float(number), 1, smaller_is_better=True)
        store.create_run(make_run(f"r{number}", state=State.FINISHED, ended_at=1.0, best=best, created_at=float(number)))
    monkeypatch.setattr("detjupyter.store.history.open_store", lambda: store)
    yield store
    store.close()


def test_a_run_is_annotated_by_its_attributes() -> None:
    """Each can be set alone, or several together; the run shows its name."""
    run = dj.run("r1")
    run.name, run.note, run.tags, run.starred = "baseline", "two\nlines", ["a", "b"], True
    assert (run.name, run.note, run.tags, run.starred, run.archived) == ("baseline", "two\nlines", ("a", "b"), True, False)
    run.annotate(name="", add_tags=["c"], remove_tags=["a"], starred=False)
    assert (run.name, run.note, run.tags, run.starred) == ("", "two\nlines", ("b", "c"), False)
    run.name = "it's <b>"
    assert 'r1 "it\'s <b>": model_def' in repr(run)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "x" * 201}, "A name has at most 200 characters, not 201"),
        ({"name": "a\nb"}, "A name has one line, not 2"),
        ({"name": 3}, "A name must be a text, not 3"),
        ({"note": "x" * 10_001}, "A note has at most 10,000 characters, not 10,001"),
        ({"note": b"x"}, "A note must be a text"),
        ({"tags": "baseline"}, "Tags must be a list of texts, not 'baseline'"),
        ({"tags": [1]}, "A tag must be a text, not 1"),
        ({"tags": ["  "]}, "A tag must not be empty"),
        ({"tags": ["a,b"]}, "A tag must not contain a comma: 'a,b'"),
        ({"add_tags": ["x" * 101]}, "A tag has at most 100 characters"),
        ({"tags": map(str, range(51))}, "A run has at most 50 tags, not 51"),
        ({"starred": "yes"}, "starred must be True or False, not 'yes'"),
        ({"archived": 1}, "archived must be True or False, not 1"),
    ],
)
def test_a_wrong_value_is_one_error_and_changes_nothing(store: Store, wrong: dict[str, Any], message: str) -> None:
    """It says the limit."""
    before = store.run("r1")
    with pytest.raises(ArgumentError, match=message):
        dj.run("r1").annotate(**{"starred": True} | wrong)
    assert store.run("r1") == before


def test_archived_runs_are_hidden_until_asked_for() -> None:
    """By the argument, or by a condition about them."""
    dj.runs(where="best < 2").annotate(archived=True)
    assert [run.id for run in dj.runs()] == ["r2"]
    assert [run.id for run in dj.runs(where="best >= 0")] == ["r2"]
    assert [run.id for run in dj.runs(include_archived=True)] == ["r2", "r1", "r0"]
    assert [run.id for run in dj.runs(where="archived")] == ["r1", "r0"]
    dj.run("r0").archived = False
    assert [run.id for run in dj.runs(where="not archived and best < 1")] == ["r0"]


def test_an_archived_run_is_neither_the_best_nor_the_latest(store: Store) -> None:
    """It is usually archived because something was wrong with it."""
    assert (run_named(store, "latest"), run_named(store, "best"), run_named(store, "r1")) == ("r2", "r0", "r1")
    dj.runs(where="best == 0 or best == 2").annotate(archived=True)
    assert (run_named(store, "latest"), run_named(store, "best")) == ("r1", "r1")
    dj.runs().annotate(archived=True)
    with pytest.raises(RunNotFoundError):
        run_named(store, "latest")


def test_runs_are_chosen_by_what_was_added() -> None:
    """Stars, tags, names and notes are names of conditions."""
    dj.run("r0").annotate(starred=True, tags=["baseline"])
    dj.run("r1").annotate(tags=["baseline"], note="slow start")
    assert [run.id for run in dj.runs(where='starred and "baseline" in tags')] == ["r0"]
    assert [run.id for run in dj.runs(where="'slow' in note")] == ["r1"]


def test_the_table_has_what_was_added(store: Store) -> None:
    """In columns that are only there if a run has it; a long note is shortened, and markup is text."""
    assert "name" not in runs_bundle(store.summaries())["text/plain"].splitlines()[0].split()
    dj.run("r0").annotate(name="<b>x", starred=True, tags=["a", "b"], archived=True, note="word\n" * 100)
    bundle = runs_bundle(store.summaries())
    head, *rows = bundle["text/plain"].splitlines()
    assert head.split()[-3:] == ["name", "tags", "note"]
    assert "★ <b>x" in rows[2]
    assert "archived, a, b" in rows[2]
    assert "word word" in rows[2]
    assert len(rows[2]) < 400
    assert "&lt;b&gt;x" in bundle["text/html"]


def test_it_is_printed_in_a_few_lines(store: Store) -> None:
    """As `%det_note` does; control characters are spelled out."""
    dj.run("r0").annotate(name="\x1b[31mred", starred=True, tags=["a", "b"], note="1\n2")
    assert annotation_text(store.run("r0")) == "r0 \\x1b[31mred · ★ · tags a, b\n  1\n  2"
    assert annotation_text(store.run("r1")) == "r1"
