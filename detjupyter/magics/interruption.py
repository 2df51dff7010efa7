"""What a person reads who interrupts a magic: one line that says what goes on and what does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_YELLOW, _RESET = "\x1b[1;33m", "\x1b[0m"


class Interrupted(KeyboardInterrupt):
    """An interrupt that IPython shows without a traceback. Still an interrupt: the cells that wait in the queue do not run."""

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython shows (its protocol for exceptions that know better)."""
        first, *rest = str(self).splitlines()
        return [f"{_YELLOW}Interrupted{_RESET}: {first}", *rest]


@contextmanager
def interruptible(outcome: str, *, then: Callable[[], object] | None = None) -> Iterator[None]:
    """Turn an interrupt of the block into one that says ``outcome``, after calling ``then``.

    Raises:
        Interrupted: the person interrupted.
    """
    try:
        yield
    except Interrupted:
        raise
    except KeyboardInterrupt:
        if then is not None:
            then()
        raise Interrupted(outcome) from None
