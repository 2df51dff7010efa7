"""The text after a magic's name: words, values, and the completions of the Tab key."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from IPython.core.error import UsageError
from IPython.core.magic_arguments import argument, magic_arguments

from detjupyter.errors import HyperparameterError
from detjupyter.magics import completion
from detjupyter.magics.arguments import parse, positive, words
from detjupyter.magics.display import Metrics
from detjupyter.magics.interruption import Interrupted, interruptible
from detjupyter.magics.values import parse_assignments


@magic_arguments()
@argument("what", nargs="?")
@argument("--count", type=positive, metavar="N")
@argument("--often", action="store_true")
def det_example(line: str) -> Any:
    """Do something for example."""
    return parse(det_example, line)


class Shell:
    """As much of IPython's shell as completion asks."""

    def find_line_magic(self, name: str) -> Any:
        """Return the magic of that name."""
        return det_example if name == "det_example" else None


class TestWords:
    """A line as a shell would split it."""

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("", []),
            ("  a   b ", ["a", "b"]),
            ("--path 'my nets'", ["--path", "my nets"]),
            ("name=\"a b\" 'c d'", ["name=a b", "c d"]),
            ("a # the rest isn't there", ["a"]),
            ("#all", []),
            ("colour=#fff b", ["colour=#fff", "b"]),
            ("layers='[1, 2]'", ["layers=[1, 2]"]),
        ],
    )
    def test_quotes_group_and_a_lone_hash_ends(self, line: str, expected: list[str]) -> None:
        """Quotes do not stay; a hash inside a word is part of it."""
        assert list(words(line)) == expected

    @pytest.mark.parametrize("line", [f"a {'x' * 5000}", f"'{'x' * 5000}", f"--count {'x' * 5000}"])
    def test_a_very_long_word_is_shortened_in_the_message(self, line: str) -> None:
        """In the middle."""
        with pytest.raises(UsageError, match=r"x … [\d,]+ characters … x") as caught:
            det_example(line)
        assert len(str(caught.value)) < 1200

    @pytest.mark.skipif(os.name == "nt", reason="there a backslash separates directories")
    def test_a_backslash_escapes(self) -> None:
        """As in a shell."""
        assert list(words(r"my\ nets")) == ["my nets"]


class TestParse:
    """A magic's options."""

    def test_options_and_positionals_are_read(self) -> None:
        """In any order."""
        arguments = det_example("--count 3 that --often")
        assert (arguments.what, arguments.count, arguments.often) == ("that", 3, True)

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("--cuont 3", "%det_example has no argument '--cuont'. Did you mean --count? `%det_example?` explains."),
            ("a b", "%det_example has no argument 'b'. There is: --count, --often. `%det_example?` explains."),
            (
                "--count none",
                "%det_example: argument --count: must be a whole number of at least 1, not 'none'. `%det_example?` explains.",
            ),
            ("--count -2", "%det_example: argument --count: must be a whole number of at least 1, not '-2'. `%det_example?` explains."),
            ("'a", '%det_example: no closing quotation in "\'a".'),
        ],
    )
    def test_what_does_not_fit_says_what_would(self, line: str, message: str) -> None:
        """IPython shows a usage error in one line."""
        with pytest.raises(UsageError) as caught:
            det_example(line)
        assert str(caught.value) == message


class TestAssignments:
    """``K=V``."""

    def test_values_are_yaml_1_2(self) -> None:
        """Numbers, lists, maps, text; the first = divides."""
        assignments = ["lr=1e-3", "n=3", "on=on", "yes=true", "layers=[1, 2]", "a.b=x=y", "none=", "text='1'"]
        assert parse_assignments(assignments) == {
            "lr": 1e-3,
            "n": 3,
            "on": "on",
            "yes": True,
            "layers": [1, 2],
            "a.b": "x=y",
            "none": None,
            "text": "1",
        }

    @pytest.mark.parametrize(
        ("assignment", "expected"),
        [("lr", "'lr' does not have the form"), ("=3", "'=3' does not have the form"), ("a=[1", "not YAML"), ("a='", "not YAML")],
    )
    def test_nonsense_is_refused_with_an_example(self, assignment: str, expected: str) -> None:
        """One clear message."""
        with pytest.raises(HyperparameterError, match="--hparam") as caught:
            parse_assignments([assignment])
        assert expected in str(caught.value)


class TestCompletion:
    """The tab key, without a kernel."""

    @pytest.mark.parametrize(
        ("line", "word", "offers"),
        [
            ("%det_example ", "", ["--count", "--often"]),
            ("det_example --o", "--o", ["--count", "--often"]),
            ("x = %det_example --c", "--c", ["--count", "--often"]),
            ("a, b.c = %det_example w --c", "--c", ["--count", "--often"]),
            ("%det_example --count ", "", []),
        ],
    )
    def test_options_are_offered(self, line: str, word: str, offers: list[str]) -> None:
        """At the beginning, after an assignment, after other words; not where a value is awaited."""
        assert completion._offers(Shell(), line) == (word, offers)

    @pytest.mark.parametrize("line", ["det_", "x = 1", "%det_example 'a b", "%det_nothing --", "print(%det_example -", "x = det_example -"])
    def test_elsewhere_nothing_of_ours_is(self, line: str) -> None:
        """Not before the magic's name, not inside a quotation, not for other magics, not in Python."""
        assert completion._offers(Shell(), line) == ("", [])

    def test_hyperparameters_of_the_config_or_of_the_code_are_offered(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Those of the config, of all files that may be the config, or those that the code asks for."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "model_def.py").write_text("x = context.get_hparam('lr') + context.get_hparam(\"hidden\")")
        assert completion._hyperparameters("", []) == ["hidden=", "lr="]
        (tmp_path / "tiny.py").write_text("x = context.get_hparam('depth')")
        assert completion._hyperparameters("", ["tiny.py", "--hparam"]) == ["depth="]
        (tmp_path / "a.yaml").write_text("hyperparameters: {rate: 1}")
        assert completion._hyperparameters("", []) == ["rate="]
        (tmp_path / "b.yaml").write_text("hyperparameters: {rate: 1, size: 2}")
        assert completion._hyperparameters("", []) == ["rate=", "size="]

    def test_directories_and_fitting_files_are_offered(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """One level at a time, hidden ones left out; a directory that is not there offers nothing."""
        monkeypatch.chdir(tmp_path)
        for name in ("nets/deep", ".hidden", "__pycache__"):
            (tmp_path / name).mkdir(parents=True)
        for name in ("nets/a.py", "b.py", "c.txt"):
            (tmp_path / name).touch()
        assert completion._paths("", (".py",)) == ["b.py", "nets/"]
        assert completion._paths("nets/", (".py",)) == ["nets/a.py", "nets/deep/"]
        assert completion._paths(f"{tmp_path}/b", (".py",)) == [f"{tmp_path}/b.py", f"{tmp_path}/nets/"]
        assert completion._paths("nowhere/x", (".py",)) == []


def test_metrics_show_four_digits_and_stay_a_dict() -> None:
    """The values are whole; only what is shown is short."""
    metrics = Metrics(loss=0.123456789, count=3, note="x")
    shown: list[str] = []
    metrics._repr_pretty_(type("Printer", (), {"text": staticmethod(shown.append)}), cycle=False)
    assert shown == ["{'loss': 0.1235, 'count': 3, 'note': 'x'}"]
    assert metrics == {"loss": 0.123456789, "count": 3, "note": "x"}


def test_an_interrupt_says_what_became_of_it_and_is_one_still() -> None:
    """`except KeyboardInterrupt` catches it; the innermost message is kept."""
    called: list[int] = []
    with pytest.raises(KeyboardInterrupt) as caught, interruptible("outer"), interruptible("inner", then=lambda: called.append(1)):
        raise KeyboardInterrupt
    assert isinstance(caught.value, Interrupted)
    assert "Interrupted\x1b[0m: inner" in caught.value._render_traceback_()[0]
    assert called == [1]
