"""The card of `%det_load`, the tree of `%det_files`, the table of `%det_runs`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from detjupyter.bundle.report import FileEntry, FileReport
from detjupyter.bundle.rules import Rule
from detjupyter.picture.numbers import format_bytes, format_count, format_duration, format_value
from detjupyter.picture.panels import metric_name
from detjupyter.picture.summary import session_text
from detjupyter.protocol.records import BestRecord, CardRecord, HyperparameterRecord, RunRecord, SessionRecord
from detjupyter.protocol.states import State
from detjupyter.store.summary import RunSummary, summary_of
from detjupyter.widgets.card import card_bundle
from detjupyter.widgets.file_tree import file_tree_bundle
from detjupyter.widgets.run_table import runs_bundle

EVIL = "<img src=x onerror=alert(1)>&\x1b[31m\x00"
EVIL_NAME = EVIL.replace("\x00", "\x07")  # a path holds anything but a null byte
VOID = {"img", "br"}


class _Tags(HTMLParser):
    """Collects the elements and the text; notes an element that is closed out of order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.text = ""
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if "style" not in self.open else ""


def make_card(hyperparameters: int = 3, name: str = "lr", value: object = 0.1) -> CardRecord:
    """Return a card with that many hyperparameters."""
    items = tuple(HyperparameterRecord(name if index == 0 else f"{name}_{index}", value, "const.yaml") for index in range(hyperparameters))
    return CardRecord(
        "model_def:DigitsTrial", "quickstart", "/there", "DigitsTrial", "pytorch", "model_def.py", 31, "cpu", 42, "const.yaml", items,
        6, 18_300, 3, 99_614_720, "9f86d081884c7d659a2feaa0c55ad015", 0.0,
    )  # fmt: skip


def make_run(**changes: object) -> RunRecord:
    """Return a finished run with any field changed."""
    fields: dict[str, object] = {
        "id": "r1", "state": State.FINISHED, "entrypoint": "model_def:DigitsTrial", "definition": "quickstart", "definition_root": "/there",
        "framework": "pytorch", "device": "cpu", "seed": 1, "hyperparameters": {}, "config": {}, "bundle_hash": "", "kernel_id": None,
        "host": "h", "pid": 1, "created_at": 0.0, "updated_at": 75.0, "ended_at": None, "batches_trained": 875,
        "best": BestRecord("accuracy", 0.9815, 875, smaller_is_better=False), "session": None,
    }  # fmt: skip
    return RunRecord(**(fields | changes))  # type: ignore[arg-type]


def make_summary(**changes: object) -> RunSummary:
    """Return that run as a table needs it."""
    return summary_of(make_run(**changes))


def make_report(entries: list[FileEntry], problems: tuple[str, ...] = ()) -> FileReport:
    """Return a report of those entries."""
    return FileReport(Path("/there"), entries, problems)


def file(path: str, size_bytes: int = 100, rule: Rule | None = None) -> FileEntry:
    """Return a file that ships unless there is a rule."""
    return FileEntry(path, "directory" if path.endswith("/") else "file", size_bytes, rule is None, rule)


def test_the_card_says_where_everything_came_from() -> None:
    """Class, place, device, seed, files and the origin of each hyperparameter, in both forms."""
    bundle = card_bundle(make_card())
    for form in (_Tags(bundle["text/html"]).text, bundle["text/plain"]):
        for fact in ("DigitsTrial", "model_def.py:31", "pytorch", "cpu", "42", "6 ship (18.3 kB of 100 MB)", "9f86d081884c", "const.yaml"):
            assert fact in form


def test_the_card_says_that_a_seed_was_drawn_and_what_is_wrong_with_the_files() -> None:
    """Only if neither the user nor the config chose it; what concerns the files follows the other notes."""
    card = make_card()
    for form in card_bundle(card).values():
        assert "42" in form
        assert "drawn" not in form
    for form in card_bundle(replace(card, is_seed_drawn=True, notes=("A note.",), file_notes=("A file.",))).values():
        assert "42 (drawn)" in form
        assert form.index("A note.") < form.index("A file.")


def test_what_to_correct_is_the_first_thing_on_the_card() -> None:
    """Above the facts; other remarks are below them."""
    card = replace(make_card(), warnings=("`serachr` is not a known key.",), notes=("A remark.",))
    bundle = card_bundle(card)
    for form in (_Tags(bundle["text/html"]).text, bundle["text/plain"]):
        assert form.index("serachr") < form.index("framework") < form.index("A remark.")


@pytest.mark.parametrize(("count", "folded"), [(0, False), (8, False), (9, True)])
def test_many_hyperparameters_are_folded(count: int, folded: bool) -> None:
    """More than eight values open on demand."""
    assert ("details" in _Tags(card_bundle(make_card(count))["text/html"]).seen) == folded


def test_nothing_of_the_persons_text_becomes_markup(make_session: Callable[..., SessionRecord]) -> None:
    """Names, values, paths and rules are text wherever they come from."""
    rule = Rule(".detignore", 1, EVIL)
    bundles = [
        card_bundle(make_card(2, name=EVIL, value=EVIL), make_session(device=EVIL)),
        file_tree_bundle(make_report([file(f"{EVIL_NAME}/{EVIL_NAME}", rule=rule), file(f"a{EVIL_NAME}")], (EVIL,)), EVIL),
        runs_bundle([make_summary(id=EVIL, entrypoint=EVIL)]),
    ]
    for bundle in bundles:
        tags = _Tags(bundle["text/html"])
        assert "img" not in tags.seen
        assert "<img src=x onerror=alert(1)>&" in tags.text
        assert not {"\x00", "\x07", "\x1b"} & set(bundle["text/html"])


def test_the_tree_names_the_rule_that_decided() -> None:
    """The line of `.detignore`, or that it is built in."""
    entries = [
        file("model_def.py", 3200),
        file("data/", 0, Rule(".detignore", 3, "data/")),
        file(".git/", 0, Rule("default", None, ".git/")),
        file("pkg/__pycache__/", 0, Rule("always", None, "__pycache__/")),
        file("pkg/a.py", 5000),
    ]
    bundle = file_tree_bundle(make_report(entries, ("line 9 is no pattern",)), "quickstart")
    for form in (_Tags(bundle["text/html"]).text, bundle["text/plain"]):
        for fact in ("2 files ship, 8.2 kB of 100 MB (under 0.1%) · 3 left out", ".detignore line 3: data/", "built in: .git/",
                     "never ships: __pycache__/", "pkg/", "5.0 kB", "line 9 is no pattern"):  # fmt: skip
            assert fact in form


def test_a_tree_of_many_files_is_bounded() -> None:
    """2,000 paths are listed, the totals count them all, and the rest is mentioned."""
    bundle = file_tree_bundle(make_report([file(f"pkg/{index:05}.py") for index in range(5000)]), "big")
    assert bundle["text/html"].count("<li") == 2001
    assert len(bundle["text/html"]) < 300_000
    for form in (_Tags(bundle["text/html"]).text, bundle["text/plain"]):
        assert "5,000 files ship" in form
        assert "and 3,000 more paths" in form


def test_too_much_to_ship_is_said() -> None:
    """The bar is full, and the words say why."""
    bundle = file_tree_bundle(make_report([file("weights.pt", 120_000_000)]), "big")
    assert "over the limit" in bundle["text/plain"]
    assert 'class="over" style="width:100.00%"' in bundle["text/html"]


def test_a_table_of_very_many_runs_is_bounded() -> None:
    """A notebook with thousands of rows is slow to save and to open; the note counts the others."""
    bundle = runs_bundle([make_summary(id=str(number)) for number in range(503)])
    assert bundle["text/plain"].splitlines()[-1] == "3 more runs are not shown."
    assert _Tags(bundle["text/html"]).seen.count("tr") == 501


def test_runs_are_listed_in_the_order_given(make_session: Callable[..., SessionRecord]) -> None:
    """One row each; a run that never wrote a session counts to its last sign of life."""
    bundle = runs_bundle([make_summary(id="second", session=make_session(elapsed_s=9.0)), make_summary(id="first", best=None)])
    lines = bundle["text/plain"].splitlines()
    assert [line.split()[0] for line in lines] == ["run", "second", "first"]
    assert "accuracy 0.9815" in lines[1]
    assert "9.0 s" in lines[1]
    assert "1 min 15 s" in lines[2]
    assert _Tags(bundle["text/html"]).seen.count("tr") == 3


def test_hyperparameters_in_which_runs_differ_are_columns() -> None:
    """Also nested ones and those that only some have; those that are equal everywhere are left out."""
    first = make_summary(id="first", hyperparameters={"lr": 1e-4, "width": 3, "net": {"name": EVIL}})
    second = make_summary(id="second", hyperparameters={"lr": 0.25, "width": 3, "net": {}})
    bundle = runs_bundle([first, second])
    head, *rows = bundle["text/plain"].splitlines()
    assert head.split() == ["run", "state", "entrypoint", "lr", "net.name", "net", "batches", "best", "duration", "started"]
    assert rows[0].split()[3] == format_value(1e-4)
    assert rows[1].split()[3:6] == [format_value(0.25), "–", "{}"]
    assert _Tags(bundle["text/html"]).seen.count("th") == 10
    assert runs_bundle([first])["text/plain"].splitlines()[0].split()[3] == "batches"


def test_many_differing_hyperparameters_are_named_below() -> None:
    """The table stays readable."""
    runs = [make_summary(id=str(run), hyperparameters={f"h{index}": run for index in range(12)}) for run in range(2)]
    bundle = runs_bundle(runs)
    assert bundle["text/plain"].splitlines()[-1] == "Also different: h8, h9, h10, h11."
    assert "Also different" in _Tags(bundle["text/html"]).text


def test_no_runs_say_what_to_do() -> None:
    """An empty history is not an empty output, and one of which no run matches is not called empty."""
    assert "%det_train" in runs_bundle([])["text/plain"]
    assert runs_bundle([], are_chosen=True)["text/plain"] == "No run matches."


def test_a_session_in_text_pairs_its_metrics(make_session: Callable[..., SessionRecord]) -> None:
    """Training and validation values of one metric are in the same line."""
    lines = session_text(make_session()).splitlines()
    assert lines[0] == "model_def:DigitsTrial: finished · 875 batches · epoch 5 · 23 s · cpu"
    assert lines[1].split() == ["loss", "training", "0.03120", "validation", "0.04560"]


def test_a_session_in_text_has_its_warnings(make_session: Callable[..., SessionRecord]) -> None:
    """With a mark that counts them, also those that the record leaves out."""
    assert "warning" not in session_text(make_session())
    (mark, warning) = session_text(make_session(warnings=("No parameter changed.",))).splitlines()[-2:]
    assert (mark.strip(), warning.strip()) == ("1 warning:", "! No parameter changed.")
    lines = session_text(make_session(warnings=("one", "two\nlines"), more_warnings=3)).splitlines()[-4:]
    assert [line.strip() for line in lines] == ["5 warnings:", "! one", r"! two\x0alines", "and 3 more in the log"]


def test_figures_read_like_figures() -> None:
    """The same forms as in the browser."""
    assert [format_value(x) for x in (0.0, 0.031234, 12.3456, 875.0, -0.5, 1e-7, 3.2e9, float("nan"), float("-inf"))] == [
        "0", "0.03123", "12.35", "875", "−0.5000", "1.00e−7", "3.20e9", "NaN", "−∞",
    ]  # fmt: skip
    assert [format_bytes(n) for n in (0, 999, 1000, 99_614_720, 3_200_000_000)] == ["0 B", "999 B", "1.0 kB", "100 MB", "3.2 GB"]
    assert [format_duration(s) for s in (0.04, 23.4, 75, 3700, 90_000)] == ["0.0 s", "23 s", "1 min 15 s", "1 h 1 min", "1 d 1 h"]
    assert format_count(1_234_567) == "1,234,567"


def test_a_metric_is_known_without_its_groups_prefix() -> None:
    """`validation_`, `val_`, `training_` and `train_` go; a name that is nothing else stays."""
    names = ["loss", "val_loss", "validation_loss", "train_loss", "training_loss", "val_", "value"]
    assert [metric_name(name) for name in names] == ["loss"] * 5 + ["val_", "value"]
