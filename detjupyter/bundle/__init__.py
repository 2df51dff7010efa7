"""What ships: the files of a model definition, and for each path the rule that let it in or left it out."""

from __future__ import annotations

from detjupyter.bundle.report import LIMIT_BYTES, FileEntry, FileReport
from detjupyter.bundle.rules import Rule
from detjupyter.bundle.walk import scan

__all__ = ["LIMIT_BYTES", "FileEntry", "FileReport", "Rule", "scan"]
