"""What the benchmarks print: a line about the machine, and tables in markdown."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version


def print_machine(*packages: str) -> None:
    """Print what the figures depend on: cores, how busy they are, and versions."""
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    versions = ", ".join(f"{name} {_version(name)}" for name in packages)
    print(f"{os.cpu_count()} cores{load}, {platform.system()}, Python {platform.python_version()}, {versions}\n")


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a markdown table, the first column to the left and the others to the right."""
    print(f"| {' | '.join(header)} |\n|{'|'.join([' --- ', *[' ---: '] * (len(header) - 1)])}|")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print(flush=True)


def spread(values: Sequence[float], digits: int) -> tuple[str, str]:
    """Return the median, and the least and greatest value, as text."""
    return f"{statistics.median(values):.{digits}f}", f"{min(values):.{digits}f}–{max(values):.{digits}f}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(none)"
