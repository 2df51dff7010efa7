"""``determined.transformers`` as a script sees it."""

from __future__ import annotations

from detjupyter.compat.unavailable import OfferedNames

# Hugging Face's library is imported with it
_names = OfferedNames(__name__, homes={"DetCallback": "detjupyter.compat.determined.det_callback"})
__getattr__, __dir__ = _names.get, _names.list
