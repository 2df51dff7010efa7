"""The package ``determined_common`` as a model definition sees it."""

from detjupyter.compat.determined_common import check

__all__ = ["check"]
