"""``determined.common.util``: not supported; its names can be imported but not used."""

from detjupyter.compat.unavailable import unavailable_names

__getattr__ = unavailable_names("determined.common.util")
