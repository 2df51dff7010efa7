"""``determined.common`` as a model definition sees it: since 0.14 the name of ``determined_common``."""

from detjupyter.compat.determined_common import check

__all__ = ["check"]
