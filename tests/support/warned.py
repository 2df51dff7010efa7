"""The warnings of a session, as its log has them."""

from __future__ import annotations

from detjupyter.session.session import Session


def warned(session: Session, words: str) -> list[str]:
    """Return detjupyter's lines in the log that contain ``words``."""
    return [line.text for line in session.channel.log(0)[1] if line.stream == "detjupyter" and words in line.text]
