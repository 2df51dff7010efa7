"""Routes text that is written to the standard streams, depending on the writing thread.

This module replaces the methods of the stream objects, not the objects in ``sys``. It therefore also routes text that is written through a
reference which a module, a log handler or a library has saved before, and it does not matter if another thread replaces ``sys.stdout``
temporarily. The methods are replaced in the class if it is written in Python, such as the kernel's, otherwise in the object.
"""

from __future__ import annotations

import functools
import io
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from detjupyter.engine.output.owner import current_sink
from detjupyter.engine.output.patches import Patch, replacement, unwrapped

NAMES = ("stdout", "stderr")
OUTSIDE = (
    "Text was written to file descriptor {number} and not to `sys.{name}`. C code and some child processes write like that. "
    "It is not captured: it goes to the cell that ran last, or to the terminal."
)
_HOLDERS = (io.StringIO, io.TextIOWrapper)


class RoutedMethod:
    """A descriptor that replaces a method in a class of streams, and routes calls for some of its objects.

    At the start of each cell IPython sets ``stream.write`` of the object to a function that calls the previous one, and restores it at the
    end. The class therefore does the routing, and a function that is set on an object serves only threads without a sink. Only a class that
    is written in Python can have such a descriptor.
    """

    def __init__(self, name: str, method: Any) -> None:
        self._name = name
        self._method = method
        # By id, since streams need not be hashable. A RoutedStream refers to its stream, so no other object gets that id.
        self.routes: dict[int, Callable[[Any], Any]] = {}

    def __get__(self, stream: Any, owner: type | None = None) -> Any:
        if stream is None:
            return self._method
        own = getattr(stream, "__dict__", {}).get(self._name)
        original = self._method.__get__(stream, owner) if own is None else unwrapped(own)
        route = self.routes.get(id(stream))
        return original if route is None else route(original)

    def __set__(self, stream: Any, value: Any) -> None:
        vars(stream)[self._name] = unwrapped(value)

    def __delete__(self, stream: Any) -> None:
        if vars(stream).pop(self._name, None) is None:
            raise AttributeError(self._name)


class RoutedStream:
    """A stream whose methods write to the sink of the calling thread.

    Args:
        stream: The stream. Its original methods still serve threads without a sink.
        name: ``stdout`` or ``stderr``.
        classes: The classes that are patched already; the class of ``stream`` is added.
        outside: Called with ``name`` when text comes from the file descriptor, so that the writing thread is unknown.
    """

    def __init__(self, stream: Any, name: str, classes: RoutedClasses, outside: Callable[[str], None]) -> None:
        self.stream = stream
        self.name = name
        self._outside = outside
        # ipykernel reads the file descriptor in this thread, and writes the text to its stream.
        self._watcher: threading.Thread | None = getattr(stream, "watch_fd_thread", None)
        self._routes: dict[str, Callable[[Any], Any]] = {
            "write": self._write,
            "writelines": self._writelines,
            "flush": self._flush,
            "close": self._close,
        }
        self._methods = classes.methods_of(type(stream), self._routes)
        self._patches: dict[str, Patch] = {}
        for method, route in self._routes.items():
            if method in self._methods:
                self._methods[method].routes[id(stream)] = route
        self.put_in_place()

    @property
    def is_fragile(self) -> bool:
        """Whether the methods are replaced in the object, not in its class, so that another thread can overwrite them."""
        return "write" in self._patches

    @property
    def is_in_place(self) -> bool:
        """Whether text is still routed: another thread can have set a method of a fragile stream."""
        return not self.is_fragile or self._patches["write"].is_in_place

    def put_in_place(self) -> None:
        """Replace in the object the methods that the class does not route."""
        for method, route in self._routes.items():
            patch = self._patches.get(method)
            if method in self._methods or (patch is not None and patch.is_in_place):
                continue
            with suppress(AttributeError, TypeError):  # the object has no such method, or does not allow setting it
                self._patches[method] = Patch(self.stream, method, route)

    def undo(self) -> None:
        """Restore the methods of the stream."""
        for method in self._methods.values():
            method.routes.pop(id(self.stream), None)
        for patch in self._patches.values():
            patch.undo()

    def _write(self, original: Callable[[str], int]) -> Callable[..., Any]:
        @replacement(original)
        def write(text: str) -> int:
            sink = current_sink()
            if sink is None:
                if self._watcher is not None and threading.current_thread() is self._watcher:
                    self._outside(self.name)
                return original(text)
            if not isinstance(text, str):  # as text streams do, so that a trial fails here as elsewhere
                raise TypeError(f"write() argument must be str, not {type(text).__name__}")
            sink.write(self.name, text)
            return len(text)

        return write

    def _writelines(self, original: Callable[[Iterable[str]], None]) -> Callable[..., Any]:
        @replacement(original)
        def writelines(lines: Iterable[str]) -> None:
            if current_sink() is None:
                original(lines)
            else:
                for line in lines:
                    self.stream.write(line)

        return writelines

    def _flush(self, original: Callable[[], None]) -> Callable[..., Any]:
        @replacement(original)
        def flush() -> None:
            sink = current_sink()
            if sink is None:
                original()
            else:
                sink.flush()

        return flush

    def _close(self, original: Callable[[], None]) -> Callable[..., Any]:
        @replacement(original)
        def close() -> None:
            if current_sink() is None:  # a trial must not close the stream, which the kernel needs
                original()

        return close


class RoutedClasses:
    """The classes of streams whose methods are replaced.

    Thread: any, but the caller must hold a lock.
    """

    def __init__(self) -> None:
        self._methods: dict[type, dict[str, RoutedMethod]] = {}
        self._patches: list[Patch] = []

    def methods_of(self, kind: type, names: Iterable[str]) -> dict[str, RoutedMethod]:
        """Return the routed methods of a class, by name; none if the class is written in C."""
        if kind not in self._methods:
            self._methods[kind] = {}
            for name in names:
                with suppress(AttributeError, TypeError):
                    self._patches.append(Patch(kind, name, functools.partial(RoutedMethod, name)))
                    self._methods[kind][name] = vars(kind)[name]
        return self._methods[kind]

    def undo(self) -> None:
        """Restore the methods of all classes."""
        for patch in self._patches:
            patch.undo()
        self._patches.clear()
        self._methods.clear()


class Streams:
    """The streams that are routed now.

    Thread: any, but the caller must hold a lock, except for :meth:`are_current`.
    """

    def __init__(self, outside: Callable[[str], None]) -> None:
        self._outside = outside
        self._classes = RoutedClasses()
        self._own: dict[int, RoutedStream] = {}
        self._of_cells: dict[int, RoutedStream] = {}
        self._seen: tuple[object, object] = (None, None)
        self._fragile: tuple[RoutedStream, ...] = ()  # those in `sys` whose methods another thread can overwrite

    def install(self) -> None:
        """Route the streams of the process."""
        for name in NAMES:
            for stream in (getattr(sys, name), getattr(sys, f"__{name}__")):
                if stream is not None and id(stream) not in self._own:
                    self._own[id(stream)] = RoutedStream(stream, name, self._classes, self._outside)
        self._remember_current()

    def are_current(self) -> bool:
        """Return whether the streams in ``sys`` are unchanged and still routed. This runs after every batch, so it must be cheap."""
        if sys.stdout is not self._seen[0] or sys.stderr is not self._seen[1]:
            return False
        return not self._fragile or all(routed.is_in_place for routed in self._fragile)

    def follow(self) -> None:
        """Route streams that another thread has put into ``sys``, such as a cell under ``%%capture``; stop routing those it has removed.

        Only objects that store the text themselves are routed. An object of the trial's own class that passes text on to the previous
        stream (a "tee") keeps working, because the previous stream is routed.
        """
        current = {id(getattr(sys, name)): name for name in NAMES}
        for key in [key for key in self._of_cells if key not in current]:
            self._of_cells.pop(key).undo()
        for key, name in current.items():
            stream = getattr(sys, name)
            if key not in self._own and key not in self._of_cells and isinstance(stream, _HOLDERS):
                self._of_cells[key] = RoutedStream(stream, name, self._classes, self._outside)
        self._remember_current()
        for routed in self._fragile:
            routed.put_in_place()

    def _remember_current(self) -> None:
        self._seen = (sys.stdout, sys.stderr)
        streams = [self._own.get(id(stream)) or self._of_cells.get(id(stream)) for stream in self._seen]
        self._fragile = tuple(routed for routed in streams if routed is not None and routed.is_fragile)

    def undo(self) -> None:
        """Stop routing, and restore all methods."""
        for routed in [*self._own.values(), *self._of_cells.values()]:
            routed.undo()
        self._classes.undo()
        self._own.clear()
        self._of_cells.clear()
        self._seen, self._fragile = (None, None), ()

    def is_routed(self, stream: object) -> bool:
        """Return whether ``stream`` is one of the streams of the process."""
        return id(stream) in self._own
