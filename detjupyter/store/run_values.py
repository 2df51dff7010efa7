"""The values of a run by name: facts, hyperparameters, newest metrics. Conditions, comparisons and tables use these names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from detjupyter.protocol.records import RunRecord
from detjupyter.protocol.states import Group
from detjupyter.store.summary import RunSummary

Getter = Callable[[RunSummary], Any]  # Any: any value that YAML can hold, or MISSING

MISSING = object()
"""The value of a name that a run lacks."""

HYPERPARAMETER = "hparam."
"""What a name begins with that means a hyperparameter, whatever else has that name."""

FACTS: Mapping[str, Getter] = {
    "id": lambda run: run.id,
    "state": lambda run: run.state.value,
    "entrypoint": lambda run: run.entrypoint,
    "definition": lambda run: run.definition,
    "device": lambda run: run.device,
    "seed": lambda run: run.seed,
    "batches": lambda run: run.batches_trained,
    "seconds": lambda run: run.seconds,
    "best": lambda run: MISSING if run.best is None else run.best.value,
    "name": lambda run: run.name,
    "note": lambda run: run.note,
    "tags": lambda run: run.tags,
    "starred": lambda run: run.starred,
    "archived": lambda run: run.archived,
}


def getter(name: str) -> Getter:
    """Return a function that returns the value of a run with that name, or ``MISSING``.

    A name means, in this order: a fact, a hyperparameter (``optimizer.lr`` in a nested one), the newest value of a validation metric, that
    of a training metric. ``hparam.seed``, ``validation.loss`` and ``training.a/b`` say which one is meant.
    """
    fact = FACTS.get(name)
    if fact is not None:
        return fact
    hyperparameters = [name.removeprefix(HYPERPARAMETER), name] if name.startswith(HYPERPARAMETER) else [name]
    metrics: list[tuple[str, str]] = []
    for group in (Group.VALIDATION.value, Group.TRAINING.value):
        if name.startswith(f"{group}."):
            metrics.append((group, name.removeprefix(f"{group}.")))
        metrics.append((group, name))

    def get(run: RunSummary) -> Any:
        for key in hyperparameters:
            found = _inside(run.hyperparameters, key)
            if found is not MISSING:
                return found
        for group, key in metrics:
            values = run.latest.get(group)
            if values is not None and key in values:
                return values[key]
        return MISSING

    return get


def names_of(run: RunSummary) -> Iterator[str]:
    """Yield every name that has a value in a run, and the names of all facts."""
    yield from FACTS
    for name, _ in flat(run.hyperparameters):
        yield from (name, f"{HYPERPARAMETER}{name}")
    for group, values in run.latest.items():
        for name in values:
            yield from (name, f"{group}.{name}")


def flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value of nested mappings with its dotted name."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def hyperparameters_of(run: RunSummary | RunRecord) -> dict[str, Any]:
    """Return the hyperparameters by their shortest names: ``hparam.seed`` for one that has the name of a fact."""
    return {f"{HYPERPARAMETER}{name}" if name in FACTS else name: value for name, value in flat(run.hyperparameters)}


def settings_of(run: RunRecord) -> dict[str, Any]:
    """Return what a run was built with apart from its code: entrypoint, seed, device, hyperparameters, and ``config.…`` for the rest."""
    settings = {name: getattr(run, name) for name in ("entrypoint", "seed", "device")} | hyperparameters_of(run)
    # the config's hyperparameters are those above, with the values that the trial got
    return settings | {f"config.{name}": value for name, value in flat(run.config) if not name.startswith("hyperparameters.")}


def setting_names(runs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return all names in the :func:`settings_of` several runs, in the order in which they appear, those of the configuration last."""
    return sorted(dict.fromkeys(name for run in runs for name in run), key=lambda name: name.startswith("config."))


def _inside(values: Mapping[str, Any], name: str) -> Any:
    """Return the value with a dotted name in nested mappings, ``MISSING`` if there is none; a key can itself have dots."""
    found = values.get(name, MISSING)
    if found is not MISSING and not (isinstance(found, Mapping) and found):
        return found
    place = name.find(".")
    while place != -1:
        inner = values.get(name[:place])
        if isinstance(inner, Mapping):
            found = _inside(inner, name[place + 1 :])
            if found is not MISSING:
                return found
        place = name.find(".", place + 1)
    return MISSING
