"""Print the lowest version that ``pyproject.toml`` allows of each dependency, as constraints for pip: ``python lowest_versions.py``.

torch is left out: its oldest versions would bring gigabytes of GPU libraries, so the caller names the one that is tested.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
LEFT_OUT = ("torch",)


def lowest_versions(requirements: list[str]) -> list[str]:
    """Return ``name==version`` for each of ``requirements`` (``name>=version``, with other clauses or without).

    Raises:
        ValueError: One has no lower bound, so there is nothing that could be tested.
    """
    pins = []
    for requirement in map(Requirement, requirements):
        bounds = [clause.version for clause in requirement.specifier if clause.operator == ">="]
        if len(bounds) != 1:
            raise ValueError(f"{requirement.name} needs one lower bound, such as {requirement.name}>=1.0; it has {bounds}.")
        if requirement.name not in LEFT_OUT:
            pins.append(f"{requirement.name}=={bounds[0]}")
    return pins


if __name__ == "__main__":
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    sys.stdout.write("\n".join(lowest_versions(project["dependencies"])) + "\n")
