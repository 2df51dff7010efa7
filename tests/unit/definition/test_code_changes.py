from __future__ import annotations

import textwrap

import pytest

from detjupyter.definition.changes import CodeChanges, code_changes

BEFORE = '''
import os

WIDTH = 32


def helper(x):
    """Says what it does."""
    return x + 1


class DigitsTrial(Base):
    rate = 0.1

    def __init__(self, context):
        self.context = context

    def train_batch(self, batch):
        def loss(y):
            return y

        return {"loss": loss(batch)}

    @property
    def width(self):
        return self._width

    @width.setter
    def width(self, value):
        self._width = value

    class Options:
        depth = 1

        def describe(self):
            return "options"


if os.name == "posix":
    def separator():
        return "/"
else:
    def separator():
        return "\\\\"
'''


def changes(before: str, after: str, path: str = "model_def.py") -> CodeChanges:
    """Compare two versions of one file."""
    return code_changes({path: textwrap.dedent(before).encode()}, {path: textwrap.dedent(after).encode()})


def edit(*pairs: tuple[str, str]) -> list[str]:
    """Replace pieces of the file above and return the reported changes."""
    after = BEFORE
    for old, new in pairs:
        assert old in after
        after = after.replace(old, new)
    return [str(name) for name in changes(BEFORE, after).names]


class TestFiles:
    """What happened to a file as a whole."""

    def test_the_same_bytes_are_no_change(self) -> None:
        """Nothing is listed, and the result is false."""
        same = code_changes({"a.py": b"x = 1"}, {"a.py": b"x = 1"})
        assert not same
        assert (str(same), same.files, same.means_other_code) == ("nothing changed", (), False)

    def test_files_come_and_go(self) -> None:
        """Added and removed files are named, sorted by path, without their contents."""
        found = code_changes({"b.py": b"def f(): ...", "same.py": b""}, {"a/c.py": b"def f(): ...", "same.py": b""})
        assert [(file.path, file.kind, file.names) for file in found.files] == [("a/c.py", "added", ()), ("b.py", "removed", ())]
        assert str(found) == "a/c.py added; b.py removed"
        assert found.means_other_code

    @pytest.mark.parametrize(
        "after",
        ["x = 1  # one\n", "\n\nx   =   1\n", "# -*- coding: utf-8 -*-\nx = 1\n", "x = (\n    1\n)\n", "\ufeffx = 1\n", "x = 1\r\n"],
    )
    def test_comments_and_layout_are_not_code(self, after: str) -> None:
        """The file is reported as edited, without names."""
        found = changes("x = 1\n", after)
        assert [(file.kind, file.names) for file in found.files] == [("edited", ())]
        assert str(found) == "model_def.py: only comments or layout"
        assert not found.means_other_code

    @pytest.mark.parametrize("broken", [b"def f(:\n", b"x = 1\0", b"\xff\xfe = 1", b"x = " + b"(" * 5000])
    def test_a_side_that_does_not_compile_is_reported_by_its_file_only(self, broken: bytes) -> None:
        """Whichever side it is."""
        for old, new in ((broken, b"x = 1"), (b"x = 1", broken)):
            found = code_changes({"a.py": old}, {"a.py": new})
            assert str(found) == "a.py edited"
            assert [(file.names, file.read) for file in found.files] == [((), False)]
            assert found.means_other_code

    def test_other_files_are_reported_by_name(self) -> None:
        """A vocabulary has no classes."""
        assert str(code_changes({"vocab.txt": b"a"}, {"vocab.txt": b"b"})) == "vocab.txt edited"

    def test_the_line_for_people(self) -> None:
        """Names by file, files by path; a long list is cut and says so."""
        old = {"model_def.py": b"class T:\n    def train_batch(self): return 1\n", "nets.py": b""}
        new = {"model_def.py": b"class T:\n    def train_batch(self): return 2\ndef helper(): ...\n", "nets.py": b"# new\n", "x.py": b""}
        assert (
            str(code_changes(old, new)) == "model_def.py: T.train_batch changed, helper added; nets.py: only comments or layout; x.py added"
        )
        many = "".join(f"def f{number}(): ...\n" for number in range(9))
        assert str(changes("", many)).endswith("f5 added and 3 more")


class TestNames:
    """What happened inside a file."""

    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            ('{"loss": loss(batch)}', '{"loss": 0}', ["DigitsTrial.train_batch changed"]),
            ("            return y", "            return -y", ["DigitsTrial.train_batch changed"]),
            ("def train_batch(self, batch)", "async def train_batch(self, batch)", ["DigitsTrial.train_batch changed"]),
            ("def train_batch(self, batch)", "def train_batch(self, batch=None)", ["DigitsTrial.train_batch changed"]),
            ("def helper(x):", "@cache\ndef helper(x):", ["helper changed"]),
            ("Says what it does.", "Says what it did.", ["helper changed"]),
            ("return self._width", "return self._width + 1", ["DigitsTrial.width changed"]),
            ("self._width = value", "self._width = int(value)", ["DigitsTrial.width changed"]),
            ("rate = 0.1", "rate = 0.2", ["DigitsTrial changed"]),
            ("(Base)", "(Base, Mixin)", ["DigitsTrial changed"]),
            ("(Base)", "(Base, metaclass=Meta)", ["DigitsTrial changed"]),
            ("class DigitsTrial", "@register\nclass DigitsTrial", ["DigitsTrial changed"]),
            ("depth = 1", "depth = 2", ["DigitsTrial.Options changed"]),
            ('return "options"', 'return "opts"', ["DigitsTrial.Options.describe changed"]),
            ('return "/"', 'return ":"', ["separator changed"]),
            ('return "\\\\"', 'return ":"', ["separator changed"]),
            ('"posix"', '"nt"', ["model_def (module level) changed"]),
            ("WIDTH = 32", "WIDTH = 33", ["model_def (module level) changed"]),
            ("import os", "import os, sys", ["model_def (module level) changed"]),
        ],
    )
    def test_the_smallest_thing_that_has_a_name_is_reported(self, old: str, new: str, expected: list[str]) -> None:
        """Methods apart from their class, nested functions with the one they are in, statements with the class or module they are in."""
        assert edit((old, new)) == expected

    def test_what_came_and_went(self) -> None:
        """A new or removed class represents its methods; a new method of an old class is reported; removed names come last."""
        assert edit(("class Options:", "class Settings:")) == ["DigitsTrial.Settings added", "DigitsTrial.Options removed"]
        assert edit(("def helper(x)", "def other(x)"), ("    rate = 0.1\n", "    rate = 0.1\n    def new(self): ...\n")) == [
            "other added",
            "DigitsTrial.new added",
            "helper removed",
        ]

    def test_of_plain_redefinitions_the_last_one_counts(self) -> None:
        """As for Python: overload stubs and forgotten first versions do nothing."""
        before = "@overload\ndef f(x: int): ...\n@overload\ndef f(x: str): ...\ndef f(x): return x\n"
        assert not changes(before, before.replace("x: int", "x: bytes")).means_other_code
        assert str(changes(before, before.replace("return x", "return 1"))) == "model_def.py: f changed"
        assert not changes("class A:\n    def f(self): ...\nclass A: pass\n", "class A: pass\n").means_other_code

    def test_registered_functions_of_one_name_all_count(self) -> None:
        """``@show.register def _(…)`` replaces nothing."""
        before = "@show.register\ndef _(x: int): return 1\n@show.register\ndef _(x: str): return 2\n"
        assert str(changes(before, before.replace("return 1", "return 3"))) == "model_def.py: _ changed"

    @pytest.mark.parametrize(
        "block",
        [
            "try:\n    {}\nexcept ImportError:\n    pass\n",
            "with x:\n    {}\n",
            "for a in b:\n    {}\nelse:\n    pass\n",
            "while 0:\n    {}\n",
            "try:\n    pass\nexcept E:\n    {}\nfinally:\n    pass\n",
            "match x:\n    case 1:\n        {}\n",
        ],
    )
    def test_definitions_in_blocks_have_their_plain_names(self, block: str) -> None:
        """Wherever Python would bind the name."""
        assert str(changes(block.format("def f(): return 1"), block.format("def f(): return 2"))) == "model_def.py: f changed"
        assert str(changes(block.format("f = 1"), block.format("f = 2"))) == "model_def.py: model_def (module level) changed"

    @pytest.mark.parametrize(
        ("path", "name"), [("nets/deep.py", "nets.deep"), ("nets/__init__.py", "nets"), ("__init__.py", "__init__"), ("a.py", "a")]
    )
    def test_the_module_level_is_named_after_its_module(self, path: str, name: str) -> None:
        """As an import statement would name it."""
        assert [str(change) for change in changes("x = 1", "x = 2", path).names] == [f"{name} (module level) changed"]
