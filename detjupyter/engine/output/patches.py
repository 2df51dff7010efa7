"""Replaces functions of the process temporarily, and restores them."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_MISSING = object()
_ORIGINAL = "_detjupyter_original"


@dataclass(frozen=True, slots=True)
class Target:
    """A function, or another attribute, to replace.

    Args:
        module: The module with the attribute. If it is not imported yet, a later :meth:`Patches.install` replaces the attribute.
        path: The attribute's name in the module, for example ``Popen.__init__``.
        make: Called with the original; returns the replacement.
    """

    module: str
    path: str
    make: Callable[[Any], Any]  # Any: the attributes have nothing in common


class Patch:
    """An attribute of ``owner`` that is replaced until :meth:`undo`.

    Raises:
        AttributeError: The owner has no such attribute, or does not let it be set.
        TypeError: The owner does not let it be set.
    """

    def __init__(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        self._owner = owner
        self._name = name
        self._before = vars(owner).get(name, _MISSING)
        original = getattr(owner, name)
        # The original may be an old replacement of ours: a kernel saves `input` before each cell, and restores it afterwards even if the
        # capture has already ended.
        original = unwrapped(original)
        self._replacement = make(original)
        setattr(owner, name, self._replacement)

    @property
    def is_in_place(self) -> bool:
        """Whether no other code has replaced the attribute since."""
        return vars(self._owner).get(self._name) is self._replacement

    def undo(self) -> None:
        """Restore the original, unless other code has replaced the attribute since: that code may call ours, which still works."""
        if not self.is_in_place:
            return
        before = unwrapped(self._before)
        if before is _MISSING:
            delattr(self._owner, self._name)
        else:
            setattr(self._owner, self._name, before)


class Patches:
    """The replacements for a list of targets.

    Thread: any, but the caller must hold a lock.
    """

    def __init__(self, targets: Sequence[Target]) -> None:
        self._targets = targets
        self._installed: dict[Target, Patch] = {}

    def install(self) -> None:
        """Replace the targets that are not replaced yet. Targets that the installed version of a package lacks are skipped."""
        for target in self._targets:
            owner: Any = sys.modules.get(target.module)
            if owner is None or target in self._installed:
                continue
            *parents, name = target.path.split(".")
            try:
                for parent in parents:
                    owner = getattr(owner, parent)
                self._installed[target] = Patch(owner, name, target.make)
            except (AttributeError, TypeError):
                continue

    def undo(self) -> None:
        """Restore all originals."""
        for patch in reversed(self._installed.values()):
            patch.undo()
        self._installed.clear()


def unwrapped(function: Any) -> Any:
    """Return the original that ``function`` replaces if :func:`replacement` made it, else ``function`` itself."""
    return getattr(function, _ORIGINAL, function)


def replacement(original: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator for a function that replaces ``original``: it copies name and docstring, and stores the original."""

    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        wrapper = functools.wraps(original)(function)
        setattr(wrapper, _ORIGINAL, original)
        return wrapper

    return mark
