"""The interface of a framework, and the lookup of a framework by its name.

A Trial class names its framework (``framework = "pytorch"``). The framework of that name is one of these:

* The attribute ``FRAMEWORK`` of ``detjupyter.<name>.framework``, for a framework in this package.
* The object that an installed package registers under that name in the entry-point group ``detjupyter.frameworks``::

      [project.entry-points."detjupyter.frameworks"]
      numpy_linear = "numpy_linear.framework:FRAMEWORK"

To add a framework, add a folder or install a package: no other code in this package refers to a framework by name. A framework declares its
changes to modules that definitions import separately, see :mod:`detjupyter.definition.isolation.shims`, because definitions are imported
before their framework is known.
"""

from __future__ import annotations

import functools
import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from detjupyter.definition.config import Config
from detjupyter.definition.trial import Trial
from detjupyter.errors import NotATrialError
from detjupyter.framework.adapter import TrialAdapter, TrialOptions
from detjupyter.framework.built_in import built_in_frameworks

ENTRY_POINT_GROUP = "detjupyter.frameworks"


class Framework(ABC):
    """One framework. A process has one object of each framework, which has no state.

    Attributes:
        name: The framework's name in Trial classes, in the history and in checkpoints.
        trial_type: The name of the kind of trial in checkpoints; Determined's name if Determined supports the framework.
        packages: The names of the distributions, besides numpy, on whose versions the results of a training depend. The record of a load
            contains their versions.
        hyperparameters: The names of hyperparameters that the framework itself reads.

    Thread: any.
    """

    name: str
    trial_type: str
    packages: tuple[str, ...] = ()
    hyperparameters: frozenset[str] = frozenset()

    @abstractmethod
    def build(self, options: TrialOptions) -> TrialAdapter:
        """Construct the user's trial, with its own seeded random states, and return its adapter.

        Raises:
            DeviceError: This machine has no such device.
            TrialUsageError: The trial violates a rule of the framework.
        """

    @abstractmethod
    def load_saved(
        self,
        trial_class: type[Trial],
        config: Config,
        directory: Path,
        *,
        device: str | None,
        trust: bool,
        trial_kwargs: Mapping[str, Any],
    ) -> tuple[Any, Any]:
        """Return a trial with the weights of a checkpoint, and its context, for use without a training.

        Args:
            trial_class: The user's class.
            config: The configuration that the trial of the checkpoint was built with.
            directory: A complete checkpoint of this framework.
            device: The device for the models; None for the best available one.
            trust: Whether to unpickle objects of any class, which can execute arbitrary code.
            trial_kwargs: Further arguments of the constructor, besides the context.

        Raises:
            CheckpointError: The state cannot be read, or does not fit the class.
            UntrustedCheckpointError: The state can be read only with ``trust``.
            TrialUsageError: The class violates a rule of the framework.
        """

    @abstractmethod
    def first_difference(self, directory: Path, other: Path) -> str | None:
        """Return the first difference between the states that :meth:`TrialAdapter.save` wrote into two directories, None if they are equal.

        This compares the values bit for bit, not the files. Two NaN are equal.
        """

    @abstractmethod
    def kept_random_states(self) -> AbstractContextManager[None]:
        """Return a context manager that restores, at its end, every random state of the process that trials can draw from.

        Thread: one at a time. No trial must train concurrently, since the states are global to the process.
        """

    @abstractmethod
    def numeric_settings(self) -> dict[str, str]:
        """Return the settings of the process that can change the bits of a result (versions, threads, precision), by names users know."""

    def release_worker_threads(self) -> None:  # noqa: B027 -- the default, for a framework without such threads
        """End the idle worker threads of the calling thread, if they would slow down other threads.

        The framework starts them again when it needs them. Called in a thread that starts or continues a training in another thread, and in
        the engine's thread when it becomes idle. Takes only a few microseconds if there are no such threads.
        """


_in_use: list[Framework] = []


@functools.cache
def find_framework(name: str) -> Framework:
    """Return the framework called ``name``.

    Raises:
        NotATrialError: There is no such framework, or the package that registers it does not provide it.
    """
    framework = _built_in(name) or _installed(name)
    if framework is None:
        raise NotATrialError(
            f"Unknown framework {name!r}. Available: {', '.join(known_frameworks())}.",
            entrypoint=None,
            hint=f"Install the package that provides it (entry point {ENTRY_POINT_GROUP!r}), or derive the class from another Trial.",
        )
    _in_use.append(framework)  # once per framework, because this function is cached
    return framework


@functools.cache  # looking up an unknown framework reads the metadata of every installed package
def framework_if_known(name: str) -> Framework | None:
    """Return the framework called ``name``, None if there is none: a script can have its own adapter without a framework."""
    try:
        return find_framework(name)
    except NotATrialError:
        return None


def release_worker_threads() -> None:
    """End the idle worker threads that the frameworks in use have for the calling thread; see :class:`Framework`."""
    for framework in tuple(_in_use):
        framework.release_worker_threads()


def framework_of(trial_class: type[Trial]) -> Framework:
    """Return the framework that a Trial class names.

    Raises:
        NotATrialError: It names no framework, or an unknown one.
    """
    name = getattr(trial_class, "framework", None)
    if not isinstance(name, str):
        raise NotATrialError(
            f"{trial_class.__name__} does not name its framework.",
            entrypoint=trial_class.__qualname__,
            hint="Derive it from the Trial class of a framework, for example detjupyter.pytorch.PyTorchTrial.",
        )
    try:
        return find_framework(name)
    except NotATrialError as error:
        raise NotATrialError(
            f"{trial_class.__name__} cannot be used. {error.message}", entrypoint=trial_class.__qualname__, hint=error.hint
        ) from None


def build_adapter(options: TrialOptions) -> TrialAdapter:
    """Return the adapter of ``options.trial_class``, with the user's trial constructed by the framework that the class names.

    Raises:
        NotATrialError: The framework is unknown.
        DeviceError: This machine has no such device.
        TrialUsageError: The trial violates a rule of the framework.
        Exception: Any exception that the user's constructor raises.
    """
    return framework_of(options.trial_class).build(options)


def known_frameworks() -> list[str]:
    """Return the names of all frameworks, sorted, without importing any."""
    return sorted({*built_in_frameworks(), *entry_points(group=ENTRY_POINT_GROUP).names})


def _built_in(name: str) -> Framework | None:
    """Return the framework in the folder ``name`` of this package, None if there is no such folder."""
    if not name.isidentifier():
        return None
    try:
        module = importlib.import_module(f"detjupyter.{name}.framework")
    except ModuleNotFoundError as error:
        if error.name not in (f"detjupyter.{name}", f"detjupyter.{name}.framework"):
            raise  # the framework's own library is not installed; Python's message names it
        return None
    found = getattr(module, "FRAMEWORK", None)
    return found if isinstance(found, Framework) else None


def _installed(name: str) -> Framework | None:
    """Return the framework that an installed package registers, None if no package does."""
    for point in entry_points(group=ENTRY_POINT_GROUP, name=name):
        return _loaded(point)
    return None


def _loaded(point: EntryPoint) -> Framework:
    try:
        found = point.load()
        problem = f"{point.value} is {type(found).__name__}, not a Framework"
    except (ImportError, AttributeError) as error:
        found, problem = None, f"{type(error).__name__}: {error}"
    if isinstance(found, Framework):
        return found
    package = point.dist.name if point.dist is not None else "that registers it"
    raise NotATrialError(
        f"The package {package} does not provide the framework {point.name!r}: {problem}.",
        entrypoint=None,
        hint="Update or reinstall that package.",
    )
