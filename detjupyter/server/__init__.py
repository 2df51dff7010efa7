"""The Jupyter server's side: REST and WebSocket over the history and model definitions, and the control of a kernel's sessions.

The server never imports a user's code: it reads files, the store, and what kernels answer.
"""
