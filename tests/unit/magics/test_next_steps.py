"""The next steps of hints: in Python, in the words of magics, and where each is shown."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import detjupyter
from detjupyter import bundle
from detjupyter.definition.model_definition import ModelDefinition
from detjupyter.errors import RunNotFoundError, TrialError
from detjupyter.magics.arguments import options, parse
from detjupyter.magics.check import CheckMagics
from detjupyter.magics.definition import DefinitionMagics
from detjupyter.magics.files import FileMagics
from detjupyter.magics.history import HistoryMagics
from detjupyter.magics.training import TrainingMagics
from detjupyter.next_step import NextStep, Wording, worded
from detjupyter.session.session import Session

MAGICS = (DefinitionMagics, FileMagics, CheckMagics, TrainingMagics, HistoryMagics)
OWNERS = {"dj": detjupyter, "session": Session, "definition": ModelDefinition, "detjupyter.bundle": bundle}
NOT_OURS = {NextStep.SET_VARIABLE, NextStep.INSTALL, NextStep.DEBUG}


def filled(step: NextStep) -> str:
    """Return the Python form of ``step``, with a 1 for each argument."""
    return step(*[1] * step.magic.count("{}"))


def magic_called(name: str) -> Any:
    """Return the function of the magic ``name``."""
    return next(getattr(kind, name) for kind in MAGICS if hasattr(kind, name))


@pytest.mark.parametrize("step", list(NextStep), ids=lambda step: step.name)
def test_a_step_has_both_wordings(step: NextStep) -> None:
    """The magic is found again in a text with the Python form, and takes the same arguments; the magic stays as it is."""
    text = f"First {filled(step)}, then `nothing()`."
    magic = f"First `{step.magic.replace('{}', '1')}`, then `nothing()`."
    assert worded(text, Wording.PYTHON) == text
    assert worded(text, Wording.MAGICS) == magic
    assert worded(magic, Wording.MAGICS) == magic


@pytest.mark.parametrize("step", [step for step in NextStep if step not in NOT_OURS], ids=lambda step: step.name)
def test_the_python_form_can_be_called(step: NextStep) -> None:
    """The function is there and has those parameters; an argument alone belongs to some function of the API."""
    code = filled(step).strip("`")
    try:
        call = ast.parse(code, mode="eval").body
    except SyntaxError:
        call = ast.parse(f"any({code})", mode="eval").body
    assert isinstance(call, ast.Call)
    if isinstance(call.func, ast.Attribute):
        functions = [getattr(OWNERS[ast.unparse(call.func.value)], call.func.attr)]
    else:
        functions = [detjupyter.load, ModelDefinition.archive, Session.restore]
    names = [keyword.arg for keyword in call.keywords]
    assert any(set(names) <= set(inspect.signature(function).parameters) for function in functions)


@pytest.mark.parametrize("step", [step for step in NextStep if step not in NOT_OURS], ids=lambda step: step.name)
def test_the_magic_can_be_typed(step: NextStep) -> None:
    """Its options are those of the magic; an option alone belongs to some magic."""
    line = step.magic.replace("{}", "1")
    if line.startswith("--"):
        parsers = [getattr(member, "parser", None) for kind in MAGICS for member in vars(kind).values()]
        assert any(line.split()[0] in options(parser) for parser in parsers if parser is not None)
    else:
        name, _, arguments = line.removeprefix("%").partition(" ")
        parse(magic_called(name), arguments)


def test_a_text_is_searched_for_whole_calls_only() -> None:
    """A call with other arguments, and code that is not a next step, stay in Python."""
    text = '`dj.load("a:B", path="c")`, `session.stop` and session.stop()'
    assert worded(text, Wording.MAGICS) == text


@pytest.mark.usefixtures("magics_wording")
def test_all_that_is_shown_of_an_error_has_the_wording_of_the_process() -> None:
    """Its text and what IPython shows; the hint itself is in Python."""
    error = TrialError("It failed.", hint=f"{NextStep.RESTORE('best')} restores the best.")
    assert str(error) == "It failed.\n  → `%det_restore best` restores the best."
    assert "`%det_restore best`" in error._render_traceback_()[-1]
    assert error.hint == '`session.restore("best")` restores the best.'
    assert str(RunNotFoundError("r1")).endswith("`%det_runs` lists the runs.")


def test_a_script_shows_python_and_a_notebook_with_the_magics_shows_magics(tmp_path: Path) -> None:
    """The same error in a process without IPython, after ``%load_ext detjupyter``, and after ``%unload_ext detjupyter``."""
    code = """
        import sys
        import detjupyter as dj

        def hint():
            try:
                dj.current_session()
            except dj.DetJupyterError as error:
                return error._render_traceback_()[-1].split("`")[1]

        assert "IPython" not in sys.modules
        print(hint())
        from IPython.core.interactiveshell import InteractiveShell
        shell = InteractiveShell()
        shell.extension_manager.load_extension("detjupyter")
        print(hint())
        shell.extension_manager.unload_extension("detjupyter")
        print(hint())
    """
    environment = {**os.environ, "IPYTHONDIR": str(tmp_path)}
    process = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True, env=environment)
    assert process.stdout.splitlines()[-3:] == [
        'dj.load("model_def:MyTrial")',
        "%det_load model_def:MyTrial",
        'dj.load("model_def:MyTrial")',
    ]
