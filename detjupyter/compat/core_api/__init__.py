"""The parts of ``determined.core``, which :mod:`detjupyter.compat.determined.core` offers to scripts."""
