"""Limits that Python checks and the browser's side keeps to; :mod:`detjupyter.protocol.typescript` writes them for it."""

from __future__ import annotations

from typing import Final

LONGEST_NAME: Final = 200
"""Characters of the name of a run."""
LONGEST_NOTE: Final = 10_000
"""Characters of the note of a run."""
LONGEST_TAG: Final = 100
MOST_TAGS: Final = 50
"""Tags of a run."""
MOST_COMPARED: Final = 20
"""Runs in a comparison: with two kinds of dashes each has its own look."""
MOST_COLUMNS: Final = 50
"""Values of each run in a page of the table."""
NEAR_THE_LIMIT: Final = 0.8
"""Of the size of an upload: what is larger than this share is shown with what makes it large."""
UNDO_S: Final = 10
"""Seconds in which the deletion of runs can be undone."""
