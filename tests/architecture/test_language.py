"""Text for users and readers is plain technical English: the words to avoid, and the words to write instead."""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

WORDS = {
    # actors
    r"(some|no)body|whoever": 'the actor: "the user", "the engine", "another process"',
    r"a person|persons": "the user",
    # verbs
    r"(goes|go|going|went|gone) on": "continue, or is running",
    r"(gives?|giving|gave|given) up": "abandon, or release; force close (a session)",
    r"stands|stood": "is, or are",
    r"tells? of|(is|are|was|were|be|being) (not |never |only )?told|told of": "report, or name",
    r"speaks? of": "mention",
    r"let(s|ting)? go( of)?": "release",
    r"(comes?|came) apart": "differ; code changes (of the files of a definition)",
    r"(puts?|putting) back": "restore",
    r"takes? (it|them|that) back": "undo, or re-include",
    r"weigh(s|ed|ing)?": "is large",
    # adverbs
    r"in vain": "without success",
    r"all the same": "anyway",
    r"torn": "incomplete",
    r"beside": "next to, or with",
    r"meanwhile|in the meantime": "while …, or at the same time",
    r"anew": "again",
    r"for ever": "forever",
    r"once more": "again",
    r"(decides?|differs?|reads?|lies?) otherwise|otherwise than": "differently",
    # grammar
    r"may not": "must not (it is forbidden), or might not (it is possible)",
    r"be it": "whether it is",
    r"and the like": "and similar …",
    r"(?<!there\s)is no (?!longer\b|such\b|more\b|other\b|way\b)\w+": 'is not a …, or "there is no …"',
    # American spelling
    r"colou(r|rs|red|ring)": "color",
    r"behaviours?": "behavior",
    r"neighbours?": "neighbor",
    r"recognis(e|es|ed|able)": "recognize",
    r"utilisation": "utilization",
    r"cancell(ed|ing)": "canceled, or canceling",
    r"spelt": "spelled",
    r"licences?": "license",
    # the column "not" of the glossary in CONTRIBUTING.md
    r"stretch(es)?": "reporting period",
    r"interventions?|wish(es)?": "command",
    r"trainees?": "engine",
    r"shipments?|catalog(ue)?s?": "bundle (the files that ship)",
    r"file watch": "opened files",
}
"""What not to write (a regular expression for whole words, in any case), and what to write instead."""

AMBIGUOUS = {
    "step": "the step of an optimizer, a schedule or a check",
    "pass": "a forward pass; to pass an argument or a test",
    "request": "a request to the HTTP server",
    "word": "a word of a text",
    "board": "TensorBoard",
    "driver": "the driver of a GPU",
    "snapshot": "a copy of the training state in memory",
    "mistake": "a typing mistake",
}
"""Words of the column "not" that have another, correct meaning here, so that no test can find the wrong one."""

ALLOWED = {
    ("CONTRIBUTING.md", "somebody"): "the rule quotes it",
    ("CONTRIBUTING.md", "may not"): "the rule quotes it",
}
"""Words that a file may contain, and why. Code, between backticks, is always allowed."""

_PATTERNS = [
    (re.compile(rf"(?<![\w-])(?:{word})(?![\w-])".replace(" ", r"\s+"), re.IGNORECASE), instead) for word, instead in WORDS.items()
]
_CODE = re.compile(r"```.*?```|``.*?``|`[^`\n]*`|\]\([^)\s]*\)|https?://\S+", re.DOTALL)


def blanked(text: str, what: re.Pattern[str]) -> str:
    """Return ``text`` with each match replaced by as many spaces; line breaks remain, so that lines keep their numbers."""
    return what.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def problems(name: str, text: str, line: int = 1) -> Iterator[str]:
    """Yield a sentence for each word to avoid in ``text``, which begins in ``line`` of the file ``name``."""
    prose = blanked(text, _CODE)
    for pattern, instead in _PATTERNS:
        for found in pattern.finditer(prose):
            word = " ".join(found[0].split())
            if (name, word) not in ALLOWED:
                yield f"{name}:{line + prose.count(chr(10), 0, found.start())}: write {instead}; not {word!r}"


def python_texts(source: str, *, messages: bool) -> Iterator[tuple[int, str]]:
    """Yield the docstrings, the comments and, if ``messages``, other literals of several words, each with the number of its first line."""
    nodes = list(ast.walk(ast.parse(source)))
    statements = [statement for node in nodes if isinstance(body := getattr(node, "body", None), list) for statement in body]
    docstrings = {statement.value for statement in statements if isinstance(statement, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and (node in docstrings or (messages and " " in node.value)):
            yield node.lineno, node.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def files(*patterns: str) -> list[str]:
    """Return the files of the repository that match, relative to its root; built files and installed packages are skipped."""
    found = {path.relative_to(ROOT) for pattern in patterns for path in ROOT.glob(pattern)}
    return sorted(path.as_posix() for path in found if not {"node_modules", "static", "lib", ".ipynb_checkpoints"} & set(path.parts))


def glossary() -> list[tuple[str, str]]:
    """Return the words to use and the words not to use, for each thing in the table of CONTRIBUTING.md."""
    _, table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("| thing | word | not |\n|---|---|---|\n")
    rows = [line.strip("|").split("|") for line in table.split("\n\n", 1)[0].splitlines()]
    return [(word.strip(), unwanted.strip()) for _, word, unwanted in rows]


def read(name: str) -> str:
    """Return the text of a file, without the column "not" of the glossary."""
    text = (ROOT / name).read_text(encoding="utf-8")
    if name == "CONTRIBUTING.md":
        for word, unwanted in glossary():
            text = text.replace(f"| {word} | {unwanted} |", f"| {word} | |")
    return text


def test_words_of_the_package() -> None:
    """Docstrings, messages and comments."""
    names = files("detjupyter/**/*.py", "benchmarks/*.py", "docs/*.py", "docs/_extensions/*.py")
    assert not [
        problem for name in names for line, text in python_texts(read(name), messages=True) for problem in problems(name, text, line)
    ]


def test_words_of_the_tests() -> None:
    """Docstrings and comments. Other literals are often a user's text."""
    names = {*files("tests/**/*.py")} - {Path(__file__).relative_to(ROOT).as_posix()}
    assert not [
        problem for name in names for line, text in python_texts(read(name), messages=False) for problem in problems(name, text, line)
    ]


def test_words_of_the_browser_side() -> None:
    """Labels, messages and comments; names too, because the files are read as text."""
    assert not [problem for name in files("labextension/**/*.ts", "labextension/**/*.tsx") for problem in problems(name, read(name))]


def test_words_of_the_documentation() -> None:
    """Prose: everything except code."""
    names = files("*.md", "docs/**/*.md", "benchmarks/*.md", ".github/**/*.md")
    assert not [problem for name in names for problem in problems(name, read(name))]


def test_words_of_the_notebooks() -> None:
    """The text between the cells."""
    cells = [(name, cell) for name in files("notebooks/**/*.ipynb") for cell in json.loads(read(name))["cells"]]
    texts = [(name, "".join(cell["source"])) for name, cell in cells if cell["cell_type"] == "markdown"]
    assert not [problem for name, text in texts for problem in problems(name, text)]


def test_the_glossary_is_checked() -> None:
    """Each word of the column "not" is in the list of words to avoid, or is listed as a word with another meaning."""
    unwanted = {word for _, cell in glossary() for word in re.split(r", | and ", re.sub(r" \(.*\)", "", cell)) if word != "–"}
    assert len(unwanted) > 10
    assert {word for word in unwanted if not list(problems("", word))} == set(AMBIGUOUS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The run was given\nup. Nobody knows.", ["given up", "Nobody"]),
        ("A `torn` file, and ``in vain``; https://example.org/torn", []),
        ("There is no batch, and a tensor is no longer there.", []),
        ("This is no batch.", ["is no batch"]),
        ("tornado, well-beside", []),
    ],
)
def test_what_is_found(text: str, words: list[str]) -> None:
    """Whole words, also across a line break, outside of code."""
    found = list(problems("file.md", text))
    assert sorted(problem.rpartition("not ")[2].strip("'") for problem in found) == sorted(words)


def test_the_problem_says_where_it_is_and_what_to_write() -> None:
    """The line is counted from the beginning of the file."""
    assert list(problems("file.py", "First.\nIt failed in vain.", line=7)) == ["file.py:8: write without success; not 'in vain'"]
