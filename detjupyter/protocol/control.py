"""The message types of the kernel's control channel; their contents are in :mod:`detjupyter.protocol.messages`."""

REQUEST = "det_control_request"
"""From the Jupyter server to the kernel: a ``ControlRequest``."""

REPLY = "det_control_reply"
"""From the kernel to the server: a ``ControlReply``."""
