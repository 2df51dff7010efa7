"""``context.searcher``: there is one piece of work, as long as the config says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from detjupyter.compat.core_api.modes import SearcherMode, Unit


class SearcherOperation:
    """The one piece of work that there is without a search.

    Attributes:
        length: How long the training is to be, in the unit of the config.
    """

    def __init__(self, length: int) -> None:
        self.length = length

    def report_progress(self, length: float) -> None:
        """Do nothing."""

    def report_completed(self, searcher_metric: float) -> None:
        """Do nothing: the metric was reported as a validation's."""


class SearcherContext:
    """``context.searcher``: no search asks for anything.

    Args:
        config: The experiment config, whose ``searcher.max_length`` is the length of the only operation; by default 1.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        searcher = config.get("searcher")
        # an empty key has its default, as in every config
        self._max_length = (searcher.get("max_length") if isinstance(searcher, Mapping) else None) or 1

    def operations(self, searcher_mode: SearcherMode = SearcherMode.WorkersAskChief, auto_ack: bool = True) -> Iterator[SearcherOperation]:
        """Yield one operation."""
        del searcher_mode, auto_ack
        length = self._max_length
        yield SearcherOperation(int(next(iter(length.values())) if isinstance(length, Mapping) else length))

    def get_configured_units(self) -> Unit | None:
        """Return the unit of ``searcher.max_length``, None if the config has no length with a unit."""
        unit = next(iter(self._max_length)) if isinstance(self._max_length, Mapping) else ""
        return Unit.__members__.get(str(unit).upper())

    def acknowledge_out_of_ops(self) -> None:
        """Do nothing."""
