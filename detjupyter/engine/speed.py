"""Keeps a training fast while other Python code runs concurrently, and detects when that code slows it."""

from __future__ import annotations

from contextlib import ExitStack

from detjupyter.engine.handover_probe import HandoverProbe
from detjupyter.engine.switch_interval import quick_handovers
from detjupyter.framework.framework import release_worker_threads


class Speed:
    """Lowers the switch interval while an engine is busy, and ends idle worker threads when it becomes idle.

    Attributes:
        is_slowed: Whether other Python code slows the training.

    Thread: the engine's.
    """

    def __init__(self) -> None:
        self.is_slowed = False
        self._probe = HandoverProbe()
        self._handovers: ExitStack | None = None

    def set_busy(self, busy: bool) -> bool:
        """Lower the switch interval while the engine is busy; afterwards restore it and end the worker threads.

        Returns:
            Whether :attr:`is_slowed` has changed: an idle engine is not slowed.
        """
        if busy and self._handovers is None:
            self._handovers = ExitStack()
            self._handovers.enter_context(quick_handovers())
            self._probe.reset()
        elif not busy and self._handovers is not None:
            self._handovers.close()
            self._handovers = None
            release_worker_threads()  # idle workers of this thread would slow down computations in cells
            was_slowed, self.is_slowed = self.is_slowed, False
            return was_slowed
        return False

    def has_changed(self) -> bool:
        """Take a reading, and return whether :attr:`is_slowed` has changed."""
        before, self.is_slowed = self.is_slowed, self._probe.read()
        return before is not self.is_slowed
