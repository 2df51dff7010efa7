"""An engine in a process of its own, behind a pipe.

* :mod:`.pipe` sends frames over a socket.
* :mod:`.host` is the worker's main program.
* :mod:`.process` starts a worker, and makes sure that it ends.
* :mod:`.opening` connects a session's :class:`~detjupyter.engine.remote.RemoteEngine` with a worker.
"""
