"""Text of the user in outputs: names, messages and paths that look like markup, or that cannot be sent."""

from __future__ import annotations

import ast
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import detjupyter
from detjupyter.bundle import DeterminedReport, Effect, Explanation, FileEntry, FileReport, Proposal, Rule
from detjupyter.bundle.archive import ArchiveReport, LeftOut
from detjupyter.bundle.edit import Line
from detjupyter.check import CheckReport, CheckStep, FirstDifference
from detjupyter.definition.changes import CodeChanges, FileChange, NameChange
from detjupyter.definition.usage import UnshippedFile
from detjupyter.errors import TrialError
from detjupyter.picture.html import Html, with_code
from detjupyter.picture.training import static_picture
from detjupyter.protocol.records import (
    BestRecord,
    CardRecord,
    ChangeRecord,
    ErrorRecord,
    HyperparameterChange,
    HyperparameterRecord,
    RunRecord,
    SeriesPatch,
    SessionRecord,
    UnshippedRecord,
    UsageRecord,
)
from detjupyter.protocol.states import Group, State
from detjupyter.store.code_diff import CodeDiff, SettingChange
from detjupyter.store.summary import summary_of
from detjupyter.widgets.card import card_bundle
from detjupyter.widgets.check_table import CheckView, check_bundle
from detjupyter.widgets.diff import TextChange, diff_bundle
from detjupyter.widgets.file_tree import TreeOptions, file_tree_bundle
from detjupyter.widgets.packaging import DeterminedList, Package
from detjupyter.widgets.run_table import runs_bundle
from detjupyter.widgets.verdict import Why, proposal_bundle

Bundle = Mapping[str, Any]
MakeSession = Callable[..., SessionRecord]
HOSTILE = {
    "a tag": "<img src=x onerror=alert(1)>",
    "the end of an attribute": '"><svg onload=alert(1)>',
    "an attribute": "' onmouseover='alert(1)",
    "the end of its element": "</style></pre></td><script>alert(1)</script>",
    "a comment": "<!-- <!DOCTYPE x [",
    "entities": "&lt;b&gt; &amp; &#60;",
    "a scheme": "javascript:alert(1)",
    "control characters": "\x1b[31mred\x1b[0m\x07\x0b\r\x7f\x9b2J",
    "a title of the window": "\x1b]0;owned\x07",
    "marks of direction": "\u202egnp.py\u202c\u2066x\u2069\u2028",
    "half a pair of surrogates": "\ud83d!",
    "bytes that are no text": "caf\udce9",
}


HIDDEN = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]"


def usage(text: str) -> UsageRecord:
    """Return what was used, with that text wherever there is one."""
    return UsageRecord((UnshippedRecord(text, text, text, 1, text, text),), (text,), 2, 10)


def card(text: str, session: SessionRecord) -> Bundle:
    """Render a card whose every text is ``text``."""
    record = CardRecord(
        entrypoint=text, definition=text, definition_root=f"/{text}", class_name=text, framework=text, file=text, line=1, device=text,
        seed=1, config_path=text, hyperparameters=(HyperparameterRecord(text, text, text), HyperparameterRecord("b", [text], text)),
        included_files=1, included_bytes=1, excluded_entries=1, limit_bytes=100, bundle_hash="ab", loaded_at=0.0, determined_differences=1,
        startup_hook=text, notes=(text,), changed=(ChangeRecord(text, "edited", (text,)),), usage=usage(text),
        hyperparameter_changes=(HyperparameterChange(text, text, text, 1),),
    )  # fmt: skip
    return card_bundle(record, replace(session, entrypoint=text, device=text))


def check(text: str, session: SessionRecord) -> Bundle:
    """Render a ship check."""
    del session
    steps = (CheckStep(text, 0.1, True, text), CheckStep("import", 0.1, False, text))
    error = TrialError(text, exception=text, user_traceback=text, hint=text)
    report = CheckReport(text, text, 1, steps, error=error, notes=(text,), output=(text, text))
    return check_bundle(CheckView(text, steps, report, usage=usage(text), notes=(text,)))


def runs(text: str, session: SessionRecord) -> Bundle:
    """Render a table of one run."""
    run = RunRecord(
        id=text, state=State.FAILED, entrypoint=text, definition=text, definition_root=text, framework=text, device=text, seed=1,
        hyperparameters={}, config={}, bundle_hash="", kernel_id=None, host=text, pid=1, created_at=0.0, updated_at=1.0, ended_at=None,
        batches_trained=1, best=BestRecord(text, 1.0, 1, smaller_is_better=True), session=session,
    )  # fmt: skip
    return runs_bundle([summary_of(run)])


def tree(text: str, session: SessionRecord) -> Bundle:
    """Render files, folders and rules of that name, as links."""
    del session
    name = re.sub("[\ud800-\udbff]", "\udcff", text.replace("/", "|"))  # what a name on a disk can hold
    entries = [
        FileEntry(f"{name}/{name}.py", "file", 10, included=True, rule=Rule(".detignore", 2, f"!{text}")),
        FileEntry(f"{name}.log", "file", 10, included=False, rule=Rule(".detignore", 1, text)),
    ]
    options = TreeOptions(marks={f"{name}/{name}.py": "only here"}, notes=(text,), links=f"{name}/")
    return file_tree_bundle(FileReport(Path("/there"), entries, (text,)), text, options)


def determined(text: str, session: SessionRecord) -> Bundle:
    """Render what Determined's uploader would ship."""
    del session
    report = DeterminedReport(Path("/there"), ((text, 1),), (text, f"{text}2"), 1, (text,), fails=False)
    return DeterminedList(report, text, {text: "only there", f"{text}3": "only here"})._repr_mimebundle_()


def package(text: str, session: SessionRecord) -> Bundle:
    """Render what was packed."""
    del session
    report = ArchiveReport(Path("/there") / text.replace("/", "|"), 1, 1, 1, "ab", "cd", (LeftOut(text, text),))
    return Package(report, (text,))._repr_mimebundle_()


def why(text: str, session: SessionRecord) -> Bundle:
    """Render a verdict."""
    del session
    return Why(Explanation(text, False, Rule(".detignore", 1, text), text))._repr_mimebundle_()


def proposal(text: str, session: SessionRecord) -> Bundle:
    """Render an edit of `.detignore`."""
    del session
    lines = (Line(1, text),)
    return proposal_bundle(Proposal(text, True, b"", b"", lines, lines, Effect(1, 1, 1, 1, (text, text))))


def difference(text: str, session: SessionRecord) -> Bundle:
    """Render the lines of a file."""
    del session
    return diff_bundle(TextChange.between(text, f"{text}\na\n", f"{text}\nb{text}\n"))


RENDERERS = {
    "the card": card,
    "the check": check,
    "the runs": runs,
    "the files": tree,
    "Determined's files": determined,
    "the package": package,
    "a verdict": why,
    "a proposal": proposal,
    "a difference": difference,
}


class Markup(HTMLParser):
    """The elements with the names of their attributes, the links, and the text as the user reads it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, ...]] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: D102
        self.elements.append((tag, *(name for name, _ in attrs)))
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:  # noqa: D102
        self.elements.append((f"/{tag}",))

    def handle_comment(self, data: str) -> None:  # noqa: D102
        self.elements.append(("!--", data))

    def handle_decl(self, decl: str) -> None:  # noqa: D102
        self.elements.append(("!", decl))

    def handle_data(self, data: str) -> None:  # noqa: D102
        self.text += data


def readable(text: str) -> str:
    """Return a pattern for the visible part of a text: control characters spelled out, any text in place of bytes that are not text."""
    spelled = re.sub(HIDDEN, lambda found: ascii(found[0])[1:-1].replace("\\r", "\\x0d"), text)
    return re.sub(r"[\ud800-\udfff]", ".?", re.escape(spelled))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("renderer", RENDERERS.values(), ids=RENDERERS)
def test_text_is_never_markup(renderer: Callable[..., Bundle], text: str, make_session: MakeSession) -> None:
    """An output has the elements and attributes that it has with a harmless text, shows the text, and links only to paths."""
    html = renderer(text, make_session())["text/html"]
    hostile, harmless = Markup(html), Markup(renderer("harmless", make_session())["text/html"])
    assert hostile.elements == harmless.elements
    assert re.search(readable(text), hostile.text)
    assert not [link for link in hostile.links if ":" in link]
    assert not re.search(HIDDEN, html)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("renderer", RENDERERS.values(), ids=RENDERERS)
def test_every_form_of_an_output_can_be_sent(renderer: Callable[..., Bundle], text: str, make_session: MakeSession) -> None:
    """As a Jupyter message, which is JSON in UTF-8, and of the types that JSON has; a terminal can show it."""
    bundle = renderer(text, make_session())
    assert not re.search(HIDDEN, "".join(bundle.values()))
    json.dumps(bundle, ensure_ascii=False).encode("utf-8")
    assert {type(form) for form in bundle.values()} == {str}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_picture_shows_text_as_text(text: str, make_session: MakeSession, make_curve: Callable[..., SeriesPatch]) -> None:
    """The SVG is one document with no more elements than with a harmless text, and can be sent; the PNG can be drawn."""

    def elements(label: str) -> tuple[list[str], str]:
        error = ErrorRecord(label, label, label, label)
        session = make_session(entrypoint=label, device=label, state=State.FAILED, error=error, best=None, warnings=(label,))
        bundle = static_picture(session, [make_curve(label, n=5), make_curve(label, Group.VALIDATION, n=5)])
        json.dumps([bundle["image/svg+xml"], bundle["text/plain"]], ensure_ascii=False).encode("utf-8")
        assert not re.search(HIDDEN, f"{bundle['image/svg+xml']}{bundle['text/plain']}")
        assert bundle["image/png"].startswith(b"\x89PNG")
        root = ET.fromstring(bundle["image/svg+xml"])
        return sorted(element.tag for element in root.iter()), "\n".join("".join(element.itertext()) for element in root)

    tags, shown = elements(text)
    assert tags == elements("harmless")[0]
    assert re.search(readable(text), shown)


def test_a_name_stays_in_its_line(make_session: MakeSession) -> None:
    """A newline in the name of a file or hyperparameter cannot write a line of the card."""
    name = "a\n    lr  0.5  override"
    lines = card(name, make_session())["text/plain"].splitlines()
    assert r"    a\x0a    lr  0.5  override" in "\n".join(line for line in lines if line.startswith("    "))
    unused = next(line for line in lines if line.startswith("  not used so far"))
    assert r"a\x0a    lr" in unused


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_the_text_form_of_a_record_spells_out_what_a_terminal_would_obey(text: str) -> None:
    """`print(session.code_changes())` and similar calls write to a terminal as well."""
    rule = Rule(".detignore", 3, text)
    shown: list[object] = [
        *(rule, Rule("default", None, text), Explanation(text, False, rule, text), UnshippedFile(text, "opened", rule, text)),
        CodeChanges((FileChange(text, "edited", (NameChange(text, "changed"),)), FileChange(text, "added"), FileChange(text, "edited"))),
        CodeDiff(text=text, settings=(SettingChange(text, text, None),), notes=(text,)),
        FirstDifference(1, text, 1.0, None),
    ]
    for one in shown:
        assert re.search(HIDDEN, str(one)) is None, type(one)


def test_code_in_a_sentence_is_escaped_too() -> None:
    """Backquotes make code of what is between them, never markup."""
    assert with_code("see `a<b>` & c") == "see <code>a&lt;b&gt;</code> &amp; c"
    assert with_code("one ` <b>") == "one ` &lt;b&gt;"


def test_what_is_html_is_not_escaped_twice() -> None:
    """Pieces of HTML are put together as they are; any other text is escaped however it comes in."""
    piece = Html("<b>{}</b>").format("a&b")
    assert piece == "<b>a&amp;b</b>"
    assert Html("<p>{}{}</p>").format(piece, "<") == "<p><b>a&amp;b</b>&lt;</p>"
    assert piece + "<" == "<b>a&amp;b</b>&lt;"
    assert Html("<br>").join([piece, "<"]) == "<b>a&amp;b</b><br>&lt;"
    assert Html("{:.1f}%").format(12.34) == "12.3%"
    assert {type(piece), type(piece + "<"), type(Html.escape("<"))} == {Html}


def test_no_tag_is_written_in_an_f_string() -> None:
    """An f-string escapes nothing: HTML and SVG are written as `Html`."""
    found = []
    for path in sorted((Path(detjupyter.__file__).parent).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                literal = "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
                if re.search(r"</?[a-z]+[ >/]|</?\{\}>", literal):
                    found.append(f"{path.name}:{node.lineno}: {literal}")
    assert found == []
