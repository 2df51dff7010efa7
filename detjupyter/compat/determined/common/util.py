"""``determined.common.util``: nothing of it is offered here; its names can be imported all the same."""

from detjupyter.compat.unavailable import unavailable_names

__getattr__ = unavailable_names("determined.common.util")
