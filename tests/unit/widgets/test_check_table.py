"""The table of `%det_check`, the difference of `%%det_file`, the verdict of `--why`, the lists of what ships."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from detjupyter.bundle import DeterminedReport, Effect, Explanation, Rule
from detjupyter.bundle.archive import ArchiveReport, LeftOut
from detjupyter.check import CheckReport, CheckStep, FirstDifference
from detjupyter.errors import TrialError
from detjupyter.protocol.records import UnshippedRecord, UsageRecord
from detjupyter.widgets.check_table import CheckView, check_bundle
from detjupyter.widgets.diff import TextChange, diff_bundle
from detjupyter.widgets.packaging import DeterminedList, Package
from detjupyter.widgets.verdict import Why, effect_lines

EVIL = "<img src=x onerror=alert(1)>"
STEPS = (CheckStep("package", 0.1, True, "3 files"), CheckStep("import", 2.5, False, "no layers"), CheckStep("build", detail="not reached"))
USAGE = UsageRecord(
    unshipped=(
        UnshippedRecord("layers.py", "imported", ".detignore", 3, "lay*", "layers.py was imported but `.detignore` line 3 `lay*` …"),
    ),
    unused=("old.bin",),
    unused_files=2,
    unused_bytes=3000,
)


def test_a_check_that_failed_shows_its_steps_the_error_and_what_is_used_but_not_shipped() -> None:
    """Pass and fail, times, details; the user's frames; both lists."""
    error = TrialError(
        "ImportError in your code.", exception=f"ImportError: {EVIL}", user_traceback='  File "model_def.py", line 3', hint="Fix."
    )
    report = CheckReport("m:T", "cpu", 7, STEPS, error=error, notes=("A note.",), output=("printed",))
    bundle = check_bundle(CheckView("m:T", STEPS, report, usage=USAGE, notes=("What is on disk is checked.",)))
    for form in bundle.values():
        for part in (
            "failed",
            "seed 7",
            "2.50 s",
            "no layers",
            "not reached",
            "line 3",
            "A note.",
            "What is on disk",
            "printed",
            "layers.py was",
        ):
            assert part in form
        assert "2 files ship and were not used so far: old.bin, … (3.0 kB)." in form
    assert "<img" not in bundle["text/html"]
    assert "✗" in bundle["text/html"]


def test_a_check_that_passed_says_so() -> None:
    """With where, the seed and the time in all."""
    report = CheckReport("m:T", "cuda:0", 1, (CheckStep("compare", 1.5, True, "bit for bit"),), identical=True)
    bundle = check_bundle(CheckView("m:T", report.steps, report))
    assert "passed · on cuda:0 · seed 1 · 1.5 s" in bundle["text/html"]
    assert "Ship check of m:T on cuda:0, seed 1: passed" in bundle["text/plain"]


def test_the_first_difference_stands_in_the_table() -> None:
    """Batch, metric and both values."""
    difference = FirstDifference(2, "loss", 0.5, 0.25)
    report = CheckReport(
        "m:T", "cpu", 1, (CheckStep("compare", 1.5, False, str(difference)),), identical=False, first_difference=difference
    )
    for form in check_bundle(CheckView("m:T", report.steps, report)).values():
        assert "loss of batch 2 is 0.5 in the kernel and 0.25 in the clean process" in form


@pytest.mark.parametrize(("running", "ended", "expected"), [("import", None, "import …"), (None, "interrupted", "interrupted")])
def test_a_check_under_way_shows_how_far_it_is(running: str | None, ended: str | None, expected: str) -> None:
    """The current step is shown, or that the user ended the check."""
    steps = (STEPS[0], CheckStep("import"), CheckStep("build"))
    bundle = check_bundle(CheckView("m:T", steps, running=running, ended=ended))
    assert all(expected in form for form in bundle.values())
    assert "3 files" in bundle["text/plain"]


def test_a_difference_counts_lines_and_shows_them() -> None:
    """In colors and in text; unchanged lines are shown as context."""
    change = TextChange.between("m.py", "a\nb\nc\n", "a\nB\nc\nd\n")
    assert change.counts == "+2 −1"
    bundle = diff_bundle(change)
    assert bundle["text/plain"].splitlines() == ["m.py: +2 −1", "  @@ -1,3 +1,4 @@", "   a", "  -b", "  +B", "   c", "  +d"]
    assert '<span class="z">-b</span><span class="a">+B</span>' in bundle["text/html"]


def test_no_difference_has_no_lines_and_a_missing_line_end_is_one() -> None:
    """Two files are equal only if their ends are."""
    assert TextChange.between("m.py", "a\n", "a\n").lines == ()
    assert TextChange.between("m.py", "a", "a\n").counts == "+1 −1"


def test_a_very_long_difference_is_cut() -> None:
    """The counts are those of all of it; markup in a file is text."""
    bundle = diff_bundle(TextChange.between("m.py", "", f"{EVIL}\n" * 5000))
    assert "m.py: +5000 −0" in bundle["text/plain"]
    assert "and 4,701 more lines" in bundle["text/plain"]
    assert len(bundle["text/html"]) < 50_000
    assert "<img" not in bundle["text/html"]


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [
        (Explanation("a.py", True, None, "a.py"), "a.py ships: no rule matches it."),
        (Explanation("nets/", True, None, "nets/"), "nets/ is included: no rule matches it."),
        (Explanation("a.py", True, Rule(".detignore", 2, "!a.py"), "a.py"), "a.py ships: `.detignore` line 2 `!a.py` re-includes it."),
        (
            Explanation("a.py", False, Rule(".detignore", 1, "*.py"), "a.py"),
            "a.py does not ship: `.detignore` line 1 `*.py` leaves it out.",
        ),
        (
            Explanation("d/a.py", False, Rule(".detignore", 1, "d/"), "d/"),
            "d/a.py does not ship: `.detignore` line 1 `d/` leaves out d/, and no rule can re-include a path below it.",
        ),
        (
            Explanation(".git/", False, Rule("default", None, ".git/"), ".git/"),
            ".git/ does not ship: the default rule `.git/` leaves it out; the line `!.git/` in `.detignore` re-includes it.",
        ),
        (Explanation("x.pyc", False, Rule("always", None, "*.pyc"), "x.pyc"), "x.pyc does not ship, whatever `.detignore` says: *.pyc."),
    ],
)
def test_why_is_explained_in_words_and_as_git_does(verdict: Explanation, sentence: str) -> None:
    """Each kind of rule has its own sentence; the line of `git check-ignore -v` follows."""
    assert str(Why(verdict)) == f"{sentence}\n{verdict.text}"
    assert Why(verdict, exists=False).sentence() == f"{sentence} The path does not exist."


def test_an_effect_names_newly_shipped_and_newly_excluded_files_separately() -> None:
    """Each has a sentence with the first names; an edit without an effect has a sentence, too."""
    assert effect_lines(Effect(1, 2000, 12, 30, ("a.py", "b.log", "c.log"))) == [
        "1 more file ships (2.0 kB): a.py.",
        "12 files no longer ship (30 B): b.log, c.log and 10 more.",
    ]
    assert effect_lines(Effect()) == ["No existing file is affected."]


def test_determineds_list_has_sizes_totals_problems_and_differences() -> None:
    """Files and empty directories by path; what ships only here comes last."""
    determined = DeterminedReport(
        Path("/there"), (("a.py", 10), (".venv/x.py", 7)), (".venv", "empty"), 21, ("Determined's uploader would skip z.",), fails=False
    )
    shown = DeterminedList(determined, "mine", {".venv/x.py": "only there", "b.py": "only here"})._repr_mimebundle_()
    lines = [line.split() for line in shown["text/plain"].splitlines()]
    assert lines[0] == ["mine,", "as", "Determined's", "uploader", "would", "ship", "it:", "2", "files,", "21", "B", "of", "100", "MB"]
    assert lines[1] == ["!", "Determined's", "uploader", "would", "skip", "z."]
    assert lines[2:] == [
        [".venv/x.py", "7", "B", "≠", "left", "out", "here"],
        ["a.py", "10", "B"],
        ["empty/", "empty"],
        ["b.py", "left", "out", "≠", "ships", "here"],
    ]
    assert "b.py" in shown["text/html"]


def test_determineds_list_of_very_many_files_is_bounded() -> None:
    """2,000 rows; the whole list is in the object."""
    files = tuple((f"d/{index:06}", 1) for index in range(50_000))
    shown = DeterminedList(DeterminedReport(Path("/there"), files, ("d",), 50_000), "mine")._repr_mimebundle_()
    assert shown["text/html"].count("<li") == 2000
    assert "and 48,000 more" in shown["text/plain"]


def test_an_upload_that_would_fail_is_no_list() -> None:
    """The reason instead."""
    determined = DeterminedReport(Path("/there"), (), (), 0, ("Determined's uploader would fail: line 1.",), fails=True)
    assert DeterminedList(determined, "mine")._repr_mimebundle_()["text/plain"].splitlines() == [
        "mine, Determined's uploader would fail",
        "  ! Determined's uploader would fail: line 1.",
    ]


def test_a_package_says_where_it_is_and_what_is_missing() -> None:
    """Path, files, bytes, both hashes; warnings first; names that are not UTF-8 do not stop it."""
    report = ArchiveReport(Path("/there/caf\udce9.tar.gz"), 3, 1234, 20480, "ab" * 32, "cd" * 32, (LeftOut("x.sock", "it vanished"),))
    shown = Package(report, (f"{EVIL} was imported",))._repr_mimebundle_()
    for form in shown.values():
        for part in ("3 files, 1,234 bytes", "20,480 bytes", "ab" * 32, "cd" * 32, "x.sock is not in the archive, because it vanished."):
            assert part in form
    assert "<img" not in shown["text/html"]
    json.dumps(shown, ensure_ascii=False).encode("utf-8")
