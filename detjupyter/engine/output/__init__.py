"""Captures the output of a trial: what it prints and displays goes to the log of its run, not to the cell that happens to run.

Output is captured per thread: :func:`captured` makes the calling thread a trial's thread, and every thread that it starts also belongs to
the trial. While at least one thread is captured, a few functions of the process are replaced (:mod:`.capture` lists them). Each replacement
looks up the sink of the calling thread; in a thread without a sink, such as that of the user's cells, it calls the original function.

* :mod:`.sink` collects text as lines of the log.
* :mod:`.redraw` interprets what progress bars print to redraw themselves.
* :mod:`.owner` stores the sink and the load of each thread.
* :mod:`.patches` replaces functions and restores them.
* :mod:`.streams` routes text that is written to the standard streams, also through a saved reference.
* :mod:`.threads` makes a thread belong to the trial that starts it.
* :mod:`.pipes` and :mod:`.children` route the output of child processes.
* :mod:`.displays` and :mod:`.figures` keep a trial's displays and figures out of the cells.
* :mod:`.prompts` makes calls that wait for input fail at once.
* :mod:`.handlers` removes the log handlers of an earlier load.
"""

from detjupyter.engine.output.capture import are_captured, captured, close_capture, keep_captured, silenced
from detjupyter.engine.output.loaded_output import LoadedOutput
from detjupyter.engine.output.owner import native_threads_belong_here, outside, uncaptured
from detjupyter.engine.output.sink import MAX_LINE, MAX_PENDING_LINES, LogSink

__all__ = [
    "MAX_LINE",
    "MAX_PENDING_LINES",
    "LoadedOutput",
    "LogSink",
    "are_captured",
    "captured",
    "close_capture",
    "keep_captured",
    "native_threads_belong_here",
    "outside",
    "silenced",
    "uncaptured",
]
