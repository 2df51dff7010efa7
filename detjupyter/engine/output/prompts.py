"""Makes calls that wait for the user's input fail at once in a trial's thread, because a training in the background has no prompt."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from detjupyter.engine.output.owner import current_sink
from detjupyter.engine.output.patches import Target, replacement
from detjupyter.errors import TrialUsageError
from detjupyter.next_step import NextStep

HINT = (
    "Call the method yourself, where there is a prompt: for example `session.trial.train_batch(…)` with a batch of your own. "
    f"If it fails there, {NextStep.DEBUG} shows the frames."
)


def no_prompt(call: str) -> TrialUsageError:
    """Return the error for ``call``, the source text of a call."""
    return TrialUsageError(f"`{call}` waits for input, and a training in the background has no prompt.", hint=HINT)


def refuse(call: str) -> Callable[[Any], Any]:
    """Return a function that makes the replacement of a prompt.

    The replacement raises a :class:`~detjupyter.errors.TrialUsageError` in a trial's thread, and calls the original in other threads.
    """

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @replacement(original)
        def prompt(*args: Any, **kwargs: Any) -> Any:
            if current_sink() is not None:
                raise no_prompt(call)
            return original(*args, **kwargs)

        return prompt

    return make


def _breakpoint(original: Callable[..., Any]) -> Callable[..., Any]:
    @replacement(original)
    def breakpoint_hook(*args: Any, **kwargs: Any) -> Any:
        if current_sink() is not None and os.environ.get("PYTHONBREAKPOINT") != "0":  # with 0 Python itself ignores breakpoints
            raise no_prompt("breakpoint()")
        return original(*args, **kwargs)

    return breakpoint_hook


TARGETS = [
    Target("sys", "breakpointhook", _breakpoint),
    Target("bdb", "Bdb.set_trace", refuse("set_trace()")),
    Target("cmd", "Cmd.cmdloop", refuse("cmdloop()")),  # `pdb.post_mortem()` and others
    Target("builtins", "input", refuse("input()")),
    # In addition to `input` and `getpass`: after each cell, a kernel restores those to what they were before the cell.
    Target("sys", "stdin.readline", refuse("input()")),
    Target("getpass", "getpass", refuse("getpass()")),
    Target("getpass", "_raw_input", refuse("getpass()")),
    Target("code", "InteractiveConsole.interact", refuse("interact()")),
    Target("ipykernel.kernelbase", "Kernel.raw_input", refuse("input()")),
    Target("ipykernel.kernelbase", "Kernel.getpass", refuse("getpass()")),
    # Both methods above call this one. A cell that began before the capture has already bound the originals as `input` and `getpass`.
    Target("ipykernel.kernelbase", "Kernel._input_request", refuse("input()")),
    Target("IPython", "embed", refuse("IPython.embed()")),
    Target("IPython.terminal.embed", "embed", refuse("IPython.embed()")),
    # `embed` calls this function first, before it changes anything. This covers a reference to `embed` that was saved before the capture.
    Target("IPython.terminal.embed", "load_default_config", refuse("IPython.embed()")),
]
