"""What the handlers of one server share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from detjupyter.server.control import ControlChannels
from detjupyter.server.history import History
from detjupyter.server.scans import Scans
from detjupyter.server.watcher import Watcher

SETTING = "detjupyter"


@dataclass(frozen=True, slots=True)
class Services:
    """The store, the scans, the kernels' control channels and the watcher of one server."""

    history: History
    scans: Scans
    channels: ControlChannels
    watcher: Watcher

    def close(self) -> None:
        """Close the store and every kernel's control channel."""
        self.channels.close()
        self.scans.close()
        self.history.close()


def services_of(settings: Mapping[str, Any]) -> Services:
    """Return the services that the extension put into tornado's ``settings``."""
    return cast("Services", settings[SETTING])
