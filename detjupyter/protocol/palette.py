"""The colors of runs that share a chart, in the browser and in the pictures of a notebook."""

from __future__ import annotations

from typing import NamedTuple


class RunColor(NamedTuple):
    """One color on a light page, on a dark page, and for a picture that is on either."""

    light: str
    dark: str
    both: str


# Neighbors differ in lightness, too; those for both pages have a contrast of 3:1 on white and on JupyterLab's dark background.
RUN_COLORS = (
    RunColor("#0072b2", "#56b4e9", "#2f8fd0"),
    RunColor("#d55e00", "#f0a63a", "#d9730d"),
    RunColor("#007a5a", "#3ddc97", "#2e9e5b"),
    RunColor("#a8006d", "#ff8ad0", "#d0479b"),
    RunColor("#8a6d00", "#f0e442", "#a58000"),
    RunColor("#5b3fb5", "#b39dff", "#8a63d2"),
    RunColor("#c2185b", "#ff80ab", "#d05050"),
    RunColor("#00838f", "#4dd0e1", "#0f98a0"),
    RunColor("#6d4c41", "#d7a98c", "#9a735c"),
    RunColor("#555555", "#c0c0c0", "#7a8b2a"),
)
"""After the last one they begin again, with other dashes."""
