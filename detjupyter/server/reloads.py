"""What the reloads of a run changed in its code, in a few lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from detjupyter.errors import StoreError
from detjupyter.store.history import CODE_EVENT

if TYPE_CHECKING:
    from pathlib import Path

    from detjupyter.protocol.records import RunRecord

MOST_LINES = 20
MOST_CHARACTERS = 100
_MOST_RELOADS = 50  # the newest ones: a story is read again every few seconds


def reload_changes(home: Path, run: RunRecord, events: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    """Return the changed lines of code by the number of batches after which reloads introduced them.

    Several reloads after the same batch are one change. Events that are not as we write them are ignored.
    """
    before, after = run.bundle_hash, dict[int, str]()
    for event in events:
        match event:
            case {"kind": kind, "bundle_hash": str() as bundle_hash, "batches_trained": int() as batches} if kind == CODE_EVENT:
                after.pop(batches, None)  # what comes last is the last in the order, too
                after[batches] = bundle_hash
    versions = list(pairwise([(0, before), *after.items()]))[-_MOST_RELOADS:]
    return {batches: _changed_lines(home, old, new) for (_, old), (batches, new) in versions}


@lru_cache(maxsize=256)  # stored code never changes
def _changed_lines(home: Path, before: str, after: str) -> str:
    # imports the reader of code archives, which a server whose runs had no reload never needs
    from detjupyter.store.code import CodeStore

    code = CodeStore(home)
    try:
        diff = code.code(before).diff(code.code(after))
    except StoreError as error:
        return str(error).splitlines()[0]
    lines = [line for line in diff.files.splitlines() if line and not line.startswith((" ", "--- "))]
    more = len(lines) - MOST_LINES
    shown = [_short(line.removeprefix("+++ ")) for line in lines[:MOST_LINES]]
    return "\n".join([*shown, f"… {more:,} more lines"] if more > 0 else shown)


def _short(line: str) -> str:
    line = line.expandtabs(4)
    return line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 1]}…"
