"""A history's file, behind the store's back."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def write_sql(path: Path, *statements: str) -> None:
    """Run ``statements`` on the file, behind the store's back."""
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
