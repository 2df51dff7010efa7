"""The server extension: REST and WebSocket access to the history and to model definitions, and control of the sessions of kernels.

The server never imports the user's code: it reads files, the store, and the answers of kernels.
"""
