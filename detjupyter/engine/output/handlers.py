"""Removes the log handlers that a load of a definition has added when the load ends, so that each line is logged once after a reload."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from detjupyter.engine.output.owner import here
from detjupyter.engine.output.patches import Target, replacement


def _add_handler(original: Callable[..., None]) -> Callable[..., Any]:
    @replacement(original)
    def add_handler(self: logging.Logger, hdlr: logging.Handler) -> None:
        load = here.load
        if load is not None and hdlr not in self.handlers:
            load.on_release(lambda: _remove(self, hdlr))
        original(self, hdlr)

    return add_handler


def _remove(logger: logging.Logger, handler: logging.Handler) -> None:
    logger.removeHandler(handler)
    handler.close()


def _add_to_loguru(original: Callable[..., int]) -> Callable[..., Any]:
    @replacement(original)
    def add(self: Any, *args: Any, **kwargs: Any) -> int:
        number = original(self, *args, **kwargs)
        if here.load is not None:
            here.load.on_release(lambda: self.remove(number))
        return number

    return add


TARGETS = [Target("logging", "Logger.addHandler", _add_handler), Target("loguru._logger", "Logger.add", _add_to_loguru)]
