"""What `%load_ext detjupyter` adds to a process that has IPython, or ipykernel, already: wall and CPU seconds.

    python benchmarks/import_cost.py [--rounds 9]

Every measurement is a fresh process; those that load detjupyter take turns with those that load an extension which does nothing. Exits
with 1 if one of the heavy packages was imported on the way.
"""

from __future__ import annotations

import argparse
import ast
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kernel import Kernel, kernel_environment
from report import print_machine, print_table, spread

HEAVY = ("torch", "sqlalchemy", "matplotlib", "anywidget", "ipywidgets", "pathspec", "ruamel", "numpy")
EMPTY = "empty_extension"
MEASURE = """
import sys, time
known = set(sys.modules)
wall, cpu = time.perf_counter(), time.process_time()
get_ipython().run_line_magic("load_ext", "EXTENSION")
seconds = time.perf_counter() - wall, time.process_time() - cpu
new = set(sys.modules) - known
assert (get_ipython().find_line_magic("det_train") is not None) == ("EXTENSION" == "detjupyter")
""".strip()
RESULT = f"(*seconds, len(new), [name for name in {HEAVY} if name in new])"


def in_ipython(extension: str, scratch: Path, environment: dict[str, str]) -> tuple[float, float, int, list[str]]:
    """Measure in a fresh IPython without a kernel."""
    code = f"{MEASURE.replace('EXTENSION', extension)}\nprint('RESULT', {RESULT})"
    command = [sys.executable, "-m", "IPython", "--quick", "--no-banner", "--colors=NoColor", "-c", code]
    done = subprocess.run(command, cwd=scratch, env=environment, capture_output=True, text=True, check=True)
    return _parse(done.stdout.rpartition("RESULT")[2])


def in_kernel(extension: str, scratch: Path, environment: dict[str, str]) -> tuple[float, float, int, list[str]]:
    """Measure in a fresh kernel."""
    with Kernel(scratch, environment) as kernel:
        return _parse(str(kernel.run(MEASURE.replace("EXTENSION", extension), RESULT)))


def _parse(text: str) -> tuple[float, float, int, list[str]]:
    wall, cpu, modules, heavy = ast.literal_eval(text.strip())
    return wall, cpu, modules, heavy


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    print_machine("ipython", "ipykernel")
    hosts: dict[str, Callable[..., Any]] = {"IPython": in_ipython, "ipykernel": in_kernel}
    rows, found = [], set()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        scratch = Path(directory)
        (scratch / f"{EMPTY}.py").write_text("def load_ipython_extension(shell):\n    pass\n")
        environment = kernel_environment(scratch) | {"PYTHONPATH": os.pathsep.join([directory, os.environ.get("PYTHONPATH", "")])}
        for label, measure in hosts.items():
            measure("detjupyter", scratch, environment)  # byte code, file caches
            pairs = [[measure(name, scratch, environment) for name in (EMPTY, "detjupyter")] for _ in range(rounds)]
            added = [[mine[clock] - empty[clock] for empty, mine in pairs] for clock in (0, 1)]
            modules = statistics.median([mine[2] for _, mine in pairs])
            found |= {name for _, mine in pairs for name in mine[3]}
            rows.append((label, *spread(added[0], 3), *spread(added[1], 3), f"{modules:.0f}"))
    print_table(("`%load_ext detjupyter` after", "added wall s", "min–max", "added CPU s", "min–max", "new modules"), rows)
    print(f"Imported of {', '.join(HEAVY)}: {', '.join(sorted(found)) or 'none'}.")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
