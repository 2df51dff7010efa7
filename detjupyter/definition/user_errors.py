"""Convert an exception of the user's code into a TrialError that shows the user's frames and keeps no objects alive."""

from __future__ import annotations

import importlib
import linecache
import os
import re
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from detjupyter.definition.isolation import finding
from detjupyter.definition.isolation.imports import DefinitionLoader, DefinitionScope
from detjupyter.definition.isolation.names import public_text
from detjupyter.definition.library_errors import library_error_hint
from detjupyter.definition.missing_modules import missing_module_hint, missing_name_hint
from detjupyter.errors import TrialError

_PACKAGE = f"{Path(__file__).parents[1]}{os.sep}"
_WITHOUT_SOURCE = ("<frozen ", importlib.__file__)  # mostly the import system

_MISSING_NAME = re.compile(r"cannot import name '(\w+)' from '(determined[\w.]*)'")
_HEADER = "Traceback (most recent call last):\n"
_CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"


def trial_error(exception: BaseException, roots: Sequence[Path], doing: str) -> TrialError:
    """Create the error to raise after code of a model definition failed.

    The frames of the traceback (and of the exceptions that caused it) are cleared and dropped: they would keep the batch and the graph in
    the memory of the GPU. Raise the result outside of the ``except`` block; inside it, Python would link the two exceptions again.

    Args:
        exception: The exception of the user's code.
        roots: The directories, or single files, of the user. Of the frames of other files only the innermost is shown, and none of
            detjupyter's.
        doing: What failed, a phrase to follow "while": ``importing model_def``, ``building DigitsTrial``.

    Returns:
        The error, with its ``user_traceback`` as Python formats it.

    Raises:
        KeyboardInterrupt: The given exception: an interrupt by the user is not an error of the code.
    """
    if isinstance(exception, KeyboardInterrupt):
        raise exception
    chain = list(_chain(exception))
    text = public_text("".join(traceback.format_exception_only(exception)).rstrip("\n"))
    result = TrialError(
        f"{type(exception).__name__} in your code while {doing}.",
        exception=text,
        user_traceback=public_text(_render(chain, roots)),
        hint=_hint(exception, roots),
    )
    _forget(exception)
    return result


def user_frames(exception: BaseException, roots: Sequence[Path]) -> list[traceback.FrameSummary]:
    """Return the frames of the exception's traceback that run files below ``roots``, outermost first.

    Their lines are those of the code that ran; the files on disk may have been edited since.
    """
    with _lines_as_loaded(exception.__traceback__):
        return [frame for frame in traceback.extract_tb(exception.__traceback__) if _is_users(frame.filename, roots)]


def _innermost_of_library(exception: BaseException, roots: Sequence[Path]) -> list[traceback.FrameSummary]:
    """Return the frame that raised the exception if it is that of a library: an exception without text would otherwise say nothing."""
    last: TracebackType | None = None
    trace = exception.__traceback__
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(_WITHOUT_SOURCE):
            last = trace
        trace = trace.tb_next
    if last is None or last.tb_frame.f_code.co_filename.startswith(_PACKAGE):  # detjupyter's own frames do not help
        return []
    return [frame for frame in traceback.extract_tb(last, 1) if not _is_users(frame.filename, roots)]


@contextmanager
def _lines_as_loaded(trace: TracebackType | None) -> Iterator[None]:
    """Fill Python's cache of source lines with the source that the definition's frames were loaded from."""
    known: dict[str, Any] = {}
    for frame, _ in traceback.walk_tb(trace):
        loader = frame.f_globals.get("__loader__")
        if isinstance(loader, DefinitionLoader):
            name, lines = frame.f_code.co_filename, loader.lines()
            known.setdefault(name, linecache.cache.get(name))
            # None as the time of the last change: Python then keeps the entry, although the file may differ.
            linecache.cache[name] = (sum(map(len, lines)), None, lines, name)
    try:
        yield
    finally:
        for name, entry in known.items():
            linecache.cache.pop(name, None)
            if entry is not None:
                linecache.cache[name] = entry


def _chain(exception: BaseException) -> Iterator[tuple[BaseException, str]]:
    """Yield the exceptions from the first cause to the raised one, each with the sentence that leads to the next."""
    links: list[tuple[BaseException, str]] = [(exception, "")]
    seen = {id(exception)}
    while True:
        newest = links[-1][0]
        if newest.__cause__ is not None:
            earlier, sentence = newest.__cause__, _CAUSE
        elif newest.__context__ is not None and not newest.__suppress_context__:
            earlier, sentence = newest.__context__, _CONTEXT
        else:
            break
        if id(earlier) in seen:
            break
        seen.add(id(earlier))
        links.append((earlier, sentence))
    yield from reversed(links)


def _render(chain: Sequence[tuple[BaseException, str]], roots: Sequence[Path]) -> str:
    """Return the user's frames of a chain, and the innermost one of a library, as text, without the last line: the message of the error."""
    parts: list[str] = []
    for exception, sentence in chain:
        frames = [*user_frames(exception, roots), *_innermost_of_library(exception, roots)]
        if frames:
            parts += [_HEADER, *traceback.format_list(frames)]
        if sentence and frames:
            parts += ["".join(traceback.format_exception_only(exception)), sentence]
    return "".join(parts)


def _is_users(filename: str, roots: Sequence[Path]) -> bool:
    path = Path(filename)
    # A virtual environment inside the definition is not the user's code.
    if "site-packages" in path.parts or not path.is_absolute():
        return False
    # The file name of a cell is created by IPython, and its text is only in Python's cache of source lines.
    return any(path.is_relative_to(root) for root in roots) or (filename in linecache.cache and not path.exists())


def _forget(exception: BaseException) -> None:
    """Clear every frame of the exception, its causes and its contexts, and unlink them."""
    pending: list[BaseException | None] = [exception]
    while pending:
        current = pending.pop()
        if current is None:
            continue
        pending += [current.__cause__, current.__context__]
        traceback.clear_frames(current.__traceback__)
        current.__traceback__ = current.__cause__ = current.__context__ = None


def _hint(exception: BaseException, roots: Sequence[Path]) -> str | None:
    replaced = _replaced_code(exception)
    if replaced is not None:
        return f"This is {replaced}. Take the new trial from the session: `session.trial`."
    if isinstance(exception, ImportError) and "circular import" in str(exception):
        return "Modules import each other. Move one of the imports into the function that needs it, or what both need into a third module."
    if isinstance(exception, ModuleNotFoundError) and exception.name:
        return missing_module_hint(exception.name, [scope.path for scope in _scopes(exception)][:1] or roots)
    missing = _MISSING_NAME.match(public_text(str(exception))) if isinstance(exception, ImportError) else None
    if missing is not None:
        return missing_name_hint(missing[2], missing[1])
    if isinstance(exception, FileNotFoundError) and isinstance(exception.filename, (str, bytes)):
        return _missing_file_hint(os.fsdecode(exception.filename), roots)
    if isinstance(exception, SystemExit):
        return "The code tried to exit Python. A model definition must not do that, because it runs in the kernel."
    return library_error_hint(exception)


def _replaced_code(exception: BaseException) -> str | None:
    """Return a description of the failed code if it is from an earlier load."""
    return next((finding.replaced_text(scope.package) for scope in _scopes(exception) if scope.is_released), None)


def _scopes(exception: BaseException) -> Iterator[DefinitionScope]:
    """Yield the scope of each frame that runs code of a definition, outermost first."""
    for frame, _ in traceback.walk_tb(exception.__traceback__):
        loader = frame.f_globals.get("__loader__")
        if isinstance(loader, DefinitionLoader):
            yield loader.scope


def _missing_file_hint(name: str, roots: Sequence[Path]) -> str:
    path = Path(name)
    if path.is_absolute():
        return "That path does not exist on this machine."
    root = next((root if root.is_dir() else root.parent for root in roots), Path.cwd())
    here = Path.cwd()
    hint = f"Relative paths of a definition start at its root, {root}."
    if here != root and (here / path).exists():
        hint += f" There is such a file in {here}: move it into the definition, or give its whole path."
    return hint
