"""The model definitions that this process has loaded: one package for each load, ``detjupyter.loaded.<name>_<number>``.

The packages are created and removed with the loads; see :mod:`detjupyter.definition.isolation`. This module makes their names importable in
every process that has detjupyter, such as a spawned worker of a data loader, or a later kernel that reads a pickle.
"""

from __future__ import annotations

from detjupyter.definition.isolation.finding import install

#: Empty, because no directory contains the modules below this package: only the finder finds them.
__path__: list[str] = []

install()
