"""Applies the per-thread settings of the caller to the thread that trains.

A user who calls ``torch.set_default_device("cuda")`` or ``np.seterr(over="raise")`` in a cell before loading a trial expects that the
trial uses them. Such settings belong to a thread, so they are captured in the caller's thread and applied in the engine's. They are plain
data, so they can also be sent to another process.

Settings in context variables (``torch._dynamo.config`` and ``torch._inductor.config`` since torch 2.12, ``numpy.seterr`` since numpy 2, the
user's own variables) reach an engine in the same process in another way: its thread runs in a copy of the caller's ``contextvars`` context.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from detjupyter.engine.libraries import Library, Plain, libraries_in_use


def capture() -> dict[str, Plain]:
    """Return the settings of the calling thread, by name (``"torch.default_device"``)."""
    return {name: value for library in libraries_in_use() for name, value in library.capture().items()}


def apply(values: Mapping[str, Plain]) -> None:
    """Apply to the calling thread the settings that :func:`capture` has returned in another one. Unknown names are ignored.

    Thread: the one that needs the settings, at its beginning.
    """
    wanted = {name.partition(".")[0] for name in values}
    for library in libraries_in_use(wanted):
        library.apply(values)


@contextmanager
def kept() -> Iterator[None]:
    """Restore the settings of the calling thread at the end of the block, for user code that runs in the caller's thread."""
    before, known = capture(), libraries_in_use()
    try:
        yield
    finally:
        imported = [library for library in libraries_in_use() if library not in known]
        # Of a library that the block was the first to import, nothing was captured: its settings here may be those that the block has set.
        apply({**before, **(_initial(imported) if imported else {})})


def _initial(libraries: Iterable[Library]) -> dict[str, Plain]:
    """Return the settings of a new thread, for libraries that were not imported before."""
    values: dict[str, Plain] = {}
    thread = threading.Thread(target=lambda: [values.update(library.capture()) for library in libraries], name="detjupyter settings")
    thread.start()
    thread.join()
    return values
