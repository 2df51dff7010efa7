"""The model definitions that this process has loaded: one package for each load, ``detjupyter.loaded.<name>_<number>``.

The packages come and go with the loads; see :mod:`detjupyter.definition.isolation`. This module is what makes their names importable in
any process that has detjupyter: a worker of a data loader that was spawned, or a kernel that reads a pickle of another day.
"""

from __future__ import annotations

from detjupyter.definition.isolation.finding import install

#: No directory: whatever stands below this package is found by the finder alone.
__path__: list[str] = []

install()
