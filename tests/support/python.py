"""Python in a separate process."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from support.waiting import LIMIT_S


def run_python(code: str) -> None:
    """Run code in a separate process."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr
