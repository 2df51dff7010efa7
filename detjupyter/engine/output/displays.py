"""Keeps the displays of a trial out of the cells, and adds their text to the log.

The classes of IPython, ipykernel and ipywidgets are looked up in ``sys.modules``, because the engine must not import them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from detjupyter.engine.output.owner import Sink, current_sink
from detjupyter.engine.output.patches import Target, replacement

EXPLANATION = "The displays of a trial are not shown in a cell. The log has their text, each text once."
MAX_LINES = 40


def _publish(original: Callable[..., None]) -> Callable[..., Any]:
    @replacement(original)
    def publish(self: Any, data: Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        sink = current_sink()
        if sink is None:
            original(self, data, *args, **kwargs)
        elif not kwargs.get("update"):  # updates are dropped, since a progress bar can have one at every batch
            _say(sink, data)

    return publish


def _say(sink: Sink, data: Mapping[str, Any]) -> None:
    text = data.get("text/plain")
    lines = str(text).splitlines() if text else [", ".join(data) or "nothing"]
    if len(lines) > MAX_LINES:
        lines[MAX_LINES:] = [f"… and {len(lines) - MAX_LINES:,} more lines"]
    sink.say_once("\n".join(["display: " + lines[0], *lines[1:]]))
    sink.say_once(EXPLANATION)


def _nothing(original: Callable[..., Any]) -> Callable[..., Any]:
    """Make a method do nothing in a trial's thread."""

    @replacement(original)
    def method(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **kwargs) if current_sink() is None else None

    return method


TARGETS = [
    *(
        Target(module, f"{publisher}.{method}", make)
        for module, publisher in (
            ("IPython.core.displaypub", "DisplayPublisher"),
            ("IPython.core.displaypub", "CapturingDisplayPublisher"),  # a cell under `%%capture` uses it
            ("ipykernel.zmqshell", "ZMQDisplayPublisher"),
        )
        for method, make in (("publish", _publish), ("clear_output", _nothing))
    ),
    # `with Output():` would make the front end send all output of the running cell to the widget.
    Target("ipywidgets.widgets.widget_output", "Output.__enter__", _nothing),
    Target("ipywidgets.widgets.widget_output", "Output.__exit__", _nothing),
]
