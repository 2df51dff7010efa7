"""The services that the handlers of one server share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from detjupyter.server.control import ControlChannels
from detjupyter.server.curves import CurveCache
from detjupyter.server.disk_watcher import DiskWatcher
from detjupyter.server.history import History
from detjupyter.server.ignore import IgnoreEdits
from detjupyter.server.listing import Listing
from detjupyter.server.run_table import RunTable
from detjupyter.server.run_watcher import Watcher
from detjupyter.server.scans import Scans

SETTING = "detjupyter"


@dataclass(frozen=True, slots=True)
class Services:
    """The services of one server: the store, scans, edits of `.detignore`, the kernels' control channels, watchers, curves.

    ``comparisons`` are scans, too, which compare with Determined's uploader.
    """

    history: History
    table: RunTable
    scans: Scans[Listing]
    comparisons: Scans[str]
    edits: IgnoreEdits
    channels: ControlChannels
    watcher: Watcher
    disk: DiskWatcher
    curves: CurveCache = field(default_factory=CurveCache)

    def close(self) -> None:
        """Close the store and every kernel's control channel, and end all work in threads."""
        self.channels.close()
        self.disk.close()
        self.scans.close()
        self.comparisons.close()
        self.history.close()


def services_of(settings: Mapping[str, Any]) -> Services:
    """Return the services that the extension put into tornado's ``settings``."""
    return cast("Services", settings[SETTING])
