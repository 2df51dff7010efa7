"""The package ``determined_common`` as a model definition sees it."""

from __future__ import annotations

from detjupyter.compat.determined_common import check
from detjupyter.compat.unavailable import OfferedNames

__all__ = ["check"]

_names = OfferedNames(__name__)
__getattr__, __dir__ = _names.get, _names.list
