"""The objects of a session's engine, for tests that check a framework's own side."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detjupyter.engine.driver import Driver
    from detjupyter.engine.loaded import LoadedTrial
    from detjupyter.session import session as sessions


def driver_of(session: sessions.Session) -> Driver:
    """Return the driver of a session whose engine is in this process."""
    driver: Driver = session._engine._alive()  # type: ignore[attr-defined]  # the local engine's
    return driver


def loaded_in(session: sessions.Session) -> LoadedTrial:
    """Return the trial of a session with everything that came with it."""
    return driver_of(session).trial.loaded
