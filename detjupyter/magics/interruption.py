"""The message after an interrupted magic: one line about what continues and what does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_YELLOW, _RESET = "\x1b[1;33m", "\x1b[0m"


class Interrupted(KeyboardInterrupt):
    """An interrupt that IPython shows without a traceback. It is still an interrupt, so that waiting cells do not run."""

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython shows (its protocol for exceptions with their own display)."""
        first, *rest = str(self).splitlines()
        return [f"{_YELLOW}Interrupted{_RESET}: {first}", *rest]


@contextmanager
def interruptible(outcome: str, *, then: Callable[[], object] | None = None) -> Iterator[None]:
    """Convert an interrupt of the block into one with the message ``outcome``, after calling ``then``.

    Raises:
        Interrupted: The user interrupted.
    """
    try:
        yield
    except Interrupted:
        raise
    except KeyboardInterrupt:
        if then is not None:
            then()
        raise Interrupted(outcome) from None
