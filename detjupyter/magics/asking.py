"""Yes-or-no questions of a magic, and its one-line messages."""

from __future__ import annotations

_YES = ("y", "yes")


def ask(question: str) -> bool | None:
    """Ask the user, and return the answer; every answer except yes counts as no.

    Returns:
        None if the user cannot be asked: a program executes the notebook, or there is no terminal. The caller should then name an option.

    Raises:
        KeyboardInterrupt: The user interrupted instead of answering.
    """
    from IPython.core.error import StdinNotImplementedError

    from detjupyter.text import printable

    try:
        return input(f"{printable(question)} [y/N] ").strip().lower() in _YES
    except (EOFError, StdinNotImplementedError):
        return None


def say(text: str) -> None:
    """Print the answer of a magic; control characters in it are spelled out."""
    from detjupyter.text import printable

    print(printable(text))  # noqa: T201
