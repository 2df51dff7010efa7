"""A magic's side of a conversation: a question for a yes or no, where somebody can answer, and a line of answer."""

from __future__ import annotations

_YES = ("y", "yes")


def ask(question: str) -> bool | None:
    """Ask a person, and return the answer; whatever is not a yes is a no.

    Returns:
        None where nobody can be asked: the notebook is executed by a program, or there is no terminal. Say then which option to give.

    Raises:
        KeyboardInterrupt: The person interrupted instead of answering.
    """
    from IPython.core.error import StdinNotImplementedError

    try:
        return input(f"{question} [y/N] ").strip().lower() in _YES
    except (EOFError, StdinNotImplementedError):
        return None


def say(text: str) -> None:
    """Print the answer that a person who typed a magic waits for; bytes of a name that are not UTF-8 show as such."""
    print(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))  # noqa: T201
