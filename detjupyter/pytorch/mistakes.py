"""The user's mistakes that the frameworks' rules explain better than a traceback."""

from __future__ import annotations

from detjupyter.errors import TrialError


def mistake(rule: str, found: str, hint: str | None = None) -> TrialError:
    """Return the error for what breaks a rule: the rule, without a full stop, what was found, and what to do."""
    return TrialError(f"{rule}.", exception=found, user_traceback="", hint=hint)
