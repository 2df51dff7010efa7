"""Separates the ``pyplot`` figures of each trial from those of the cells.

``pyplot`` stores all figures of the process in one dict. After each cell, a kernel shows and closes every figure in that dict, even one
that a training is drawing. With this module, a trial's figures stay open until the trial closes or shows them, as in a script.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from detjupyter.engine.output.owner import Sink, current_sink
from detjupyter.engine.output.patches import Target

_Managers = OrderedDict[Any, Any]  # Any: matplotlib's figure managers, by their number or name
_of_trials: WeakKeyDictionary[Sink, _Managers] = WeakKeyDictionary()


class FiguresByThread:
    """Replaces ``Gcf.figs``: contains the figures of the trial that the calling thread works for, or those of the cells."""

    def __init__(self, of_cells: _Managers) -> None:
        self._of_cells = of_cells

    def _mine(self) -> _Managers:
        sink = current_sink()
        return self._of_cells if sink is None else _of_trials.setdefault(sink, OrderedDict())

    # Python looks up special methods in the class, so `__getattr__` cannot forward these.
    def __getitem__(self, key: object) -> Any:
        return self._mine()[key]

    def __setitem__(self, key: object, manager: object) -> None:
        self._mine()[key] = manager

    def __delitem__(self, key: object) -> None:
        del self._mine()[key]

    def __contains__(self, key: object) -> bool:
        return key in self._mine()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._mine())

    def __len__(self) -> int:
        return len(self._mine())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._mine(), name)


TARGETS = [Target("matplotlib._pylab_helpers", "Gcf.figs", FiguresByThread)]
