"""The files of a model definition that ship, and for each path the rule that includes it or leaves it out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from detjupyter.bundle.entries import FileEntry
from detjupyter.bundle.ignore import IgnoreFile
from detjupyter.bundle.report import LIMIT_BYTES, FileReport
from detjupyter.bundle.rules import Rule
from detjupyter.bundle.scanning import Survey, scan, survey
from detjupyter.errors import ScanStopped

if TYPE_CHECKING:
    from detjupyter.bundle.determined import Comparison, DeterminedReport, compare, determined_files, differences
    from detjupyter.bundle.edit import Effect, Proposal, Undo, apply, propose, undo
    from detjupyter.bundle.explanation import Explanation, explain
    from detjupyter.bundle.largest import LargestItem, folder_sizes, largest_items
    from detjupyter.bundle.remarks import Remarks, remarks_on

__all__ = [
    "LIMIT_BYTES",
    "Comparison",
    "DeterminedReport",
    "Effect",
    "Explanation",
    "FileEntry",
    "FileReport",
    "IgnoreFile",
    "LargestItem",
    "Proposal",
    "Remarks",
    "Rule",
    "ScanStopped",
    "Survey",
    "Undo",
    "apply",
    "compare",
    "determined_files",
    "differences",
    "explain",
    "folder_sizes",
    "largest_items",
    "propose",
    "remarks_on",
    "scan",
    "survey",
    "undo",
]

# Imported on first use: a scan needs none of them.
_LAZY = {
    "largest": ("LargestItem", "largest_items", "folder_sizes"),
    "determined": ("Comparison", "DeterminedReport", "compare", "determined_files", "differences"),
    "edit": ("Effect", "Proposal", "Undo", "apply", "propose", "undo"),
    "explanation": ("Explanation", "explain"),
    "remarks": ("Remarks", "remarks_on"),
}
_MODULE_OF = {name: module for module, names in _LAZY.items() for name in names}


def __getattr__(name: str) -> Any:  # Any: the attribute of the module with that name
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
    return value
