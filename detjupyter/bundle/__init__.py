"""What ships: the files of a model definition, and for each path the rule that let it in or left it out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from detjupyter.bundle.catalogue import FileEntry
from detjupyter.bundle.ignore import IgnoreFile
from detjupyter.bundle.report import LIMIT_BYTES, FileReport
from detjupyter.bundle.rules import Rule
from detjupyter.bundle.scanning import Survey, scan, survey
from detjupyter.errors import ScanStopped

if TYPE_CHECKING:
    from detjupyter.bundle.determined import Comparison, DeterminedReport, compare, determined_files, differences
    from detjupyter.bundle.edit import Effect, Proposal, Undo, apply, propose, undo
    from detjupyter.bundle.explanation import Explanation, explain
    from detjupyter.bundle.weights import Culprit, culprits, folder_sizes

__all__ = [
    "LIMIT_BYTES",
    "Comparison",
    "Culprit",
    "DeterminedReport",
    "Effect",
    "Explanation",
    "FileEntry",
    "FileReport",
    "IgnoreFile",
    "Proposal",
    "Rule",
    "ScanStopped",
    "Survey",
    "Undo",
    "apply",
    "compare",
    "culprits",
    "determined_files",
    "differences",
    "explain",
    "folder_sizes",
    "propose",
    "scan",
    "survey",
    "undo",
]

# Loaded when first asked for: a scan needs none of them.
_LAZY = {
    "weights": ("Culprit", "culprits", "folder_sizes"),
    "determined": ("Comparison", "DeterminedReport", "compare", "determined_files", "differences"),
    "edit": ("Effect", "Proposal", "Undo", "apply", "propose", "undo"),
    "explanation": ("Explanation", "explain"),
}
_MODULE_OF = {name: module for module, names in _LAZY.items() for name in names}


def __getattr__(name: str) -> Any:  # whatever the module holds under that name
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
    return value
