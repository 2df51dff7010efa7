"""Which parameters a training updates, and how: ``requires_grad``, the groups of the optimizers, and the modes of the modules.

None of these is in the ``state_dict`` of a model, and those of optimizers contain the settings of groups without the names of parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from detjupyter.errors import CheckpointError
from detjupyter.pytorch.context import PyTorchTrialContext
from detjupyter.pytorch.gradients import parameters_of

Groups = list[list[list[str]]]
"""The names of the parameters, by optimizer and group."""


class TrainedParameters:
    """The parameters of one trial, by name: ``requires_grad``, and the groups of optimizers that contain them.

    Args:
        context: The context of a newly built trial, whose code is compared with an edited version's in :meth:`adopt`.
    """

    def __init__(self, context: PyTorchTrialContext) -> None:
        self._context = context
        self._optimizers = context.optimizers
        self._others: dict[str, torch.Tensor] = {}  # parameters of optimizers that belong to no wrapped model
        self._written_groups = self.groups()
        self._written_gradients = self._requires_grad()

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        names = {id(parameter): name for name, parameter in reversed(self._by_name().items())}
        removed = [
            {names[id(each)]: state for each, state in _removed(optimizer).items() if id(each) in names} for optimizer in self._optimizers
        ]
        return {"requires_grad": self._requires_grad(), "groups": self.groups(), "written_groups": self._written_groups, "removed": removed}

    def groups(self) -> Groups:
        """Return the names of the parameters in each group of each optimizer."""
        names = {id(parameter): name for name, parameter in reversed(self._by_name().items())}
        return [
            [
                [names.get(id(parameter)) or self._name_other(names, parameter) for parameter in group["params"]]
                for group in each.param_groups
            ]
            for each in self._optimizers
        ]

    def set_groups(self, state: Mapping[str, Any], path: str | None) -> None:
        """Give each optimizer the groups of a state. The settings of the groups are in the optimizer's own state.

        Groups that only the code defines differently are not changed: whether they fit the state, the optimizer decides when it is loaded.

        Raises:
            CheckpointError: The trial has no parameter with one of the names.
        """
        if state["written_groups"] == self._written_groups:
            self._set_groups(state["groups"], path)

    def set_requires_grad(self, states: Mapping[str, bool]) -> None:
        """Set ``requires_grad`` of the parameters that have an entry in ``states``."""
        parameters = self._by_name()
        for name, state in states.items():
            if name in parameters and parameters[name].requires_grad is not state:
                parameters[name].requires_grad_(state)

    def set_removed(self, removed: Sequence[Mapping[str, Mapping[str, Any]]]) -> None:
        """Restore the optimizers' states of parameters that are in no group at present: training can add them again."""
        parameters = self._by_name()
        for optimizer, states in zip(self._optimizers, removed, strict=True):
            for name, state in states.items():
                if name in parameters:
                    optimizer.state[parameters[name]] = {key: _copied(value, parameters[name]) for key, value in state.items()}

    def adopt_groups(self, other: TrainedParameters) -> None:
        """Take over the groups that training added or removed in an earlier version of the trial.

        Raises:
            CheckpointError: Both training and an edit have changed the groups.
        """
        theirs = other.groups()
        if theirs == other._written_groups or theirs == self._written_groups:
            return  # groups that only an edit changed do not fit the state, which the optimizer reports
        if self._written_groups != other._written_groups:
            raise CheckpointError(
                "The edited code creates other parameter groups, but training has changed the groups, too.",
                hint="Undo the edit of the groups, or give __init__ the groups that the optimizers have now.",
            )
        self._set_groups(theirs, None)

    def adopt_requires_grad(self, other: TrainedParameters) -> None:
        """Take over ``requires_grad`` from an earlier version of the trial, except where the edited code sets another value than before."""
        mine, before = self._written_gradients, other._written_gradients
        edited = {name for name in mine if name in before and mine[name] is not before[name]}
        self.set_requires_grad({name: state for name, state in other._requires_grad().items() if name not in edited})

    def groups_with(self, index: int, number: int) -> list[dict[str, Any]]:
        """Return the present groups of optimizer ``index`` that contain parameters of the group ``number`` that the code created."""
        written = set(self._written_groups[index][number])
        optimizer = self._optimizers[index]
        return [group for group, names in zip(optimizer.param_groups, self.groups()[index], strict=True) if written.intersection(names)]

    def _set_groups(self, groups: Groups, path: str | None) -> None:
        mine, parameters = self.groups(), self._by_name()
        for index, (optimizer, now, wanted) in enumerate(zip(self._optimizers, mine, groups, strict=True)):
            if now == wanted:
                continue
            for number, group in enumerate(wanted):
                missing = [name for name in group if name not in parameters]
                if missing:
                    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
                    raise CheckpointError(
                        f"The state of optimizer {index} does not fit: the trial has no {missing[0]!r}{more} for its group {number}.",
                        path=path,
                        hint="Create the parameters of all groups in __init__, in a model that context.wrap_model() wraps.",
                    )
            optimizer.param_groups = [{**optimizer.defaults, "params": [parameters[name] for name in group]} for group in wanted]

    def _requires_grad(self) -> dict[str, bool]:
        return {name: parameter.requires_grad for name, parameter in self._by_name().items()}

    def _by_name(self) -> dict[str, torch.Tensor]:
        models = enumerate(self._context.models)
        named = {f"{index}.{name}": each for index, model in models for name, each in model.named_parameters(remove_duplicate=False)}
        return {**named, **self._others}

    def _name_other(self, names: dict[int, str], parameter: torch.Tensor) -> str:
        name = f"parameter {len(self._others)} outside of the wrapped models"
        self._others[name] = parameter
        names[id(parameter)] = name
        return name


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Return the ``state_dict`` of an optimizer. That of torch raises KeyError if a group was removed whose parameters have a state."""
    removed = _removed(optimizer)
    for parameter in removed:
        del optimizer.state[parameter]
    try:
        return optimizer.state_dict()
    finally:
        optimizer.state.update(removed)


def _removed(optimizer: torch.optim.Optimizer) -> dict[Any, Any]:
    """Return the states of the parameters that are in no group."""
    present = {id(parameter) for parameter in parameters_of(optimizer)}
    return {each: state for each, state in optimizer.state.items() if isinstance(each, torch.Tensor) and id(each) not in present}


def _copied(value: Any, parameter: torch.Tensor) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    return value.to(parameter.device, copy=True) if value.shape == parameter.shape else value.clone()


class Modes:
    """The modes of a trial's modules, ``train`` or ``eval``: a training can change some, for example of a frozen normalization layer.

    Args:
        models: The wrapped models.
    """

    def __init__(self, models: Sequence[torch.nn.Module]) -> None:
        self._models = models
        self._has_begun = False
        self._wanted: list[list[str]] | None = None

    def begin(self) -> None:
        """Set all modules to ``train``, or to the modes of a restored state, when the data is loaded for the first time."""
        if self._has_begun:
            return
        for model in self._models:
            model.train()
        if self._wanted is not None:
            self._set(self._wanted)
        self._has_begun, self._wanted = True, None

    def state(self) -> list[list[str]] | None:
        """Return the names of the modules in mode ``eval``, by model; None before :meth:`begin`."""
        if not self._has_begun:
            return self._wanted
        return [[name for name, module in model.named_modules() if not module.training] for model in self._models]

    def restore(self, state: list[list[str]] | None) -> None:
        """Set the modes to those in a state, at once or in :meth:`begin`."""
        if self._has_begun:
            self._set(state or [[] for _ in self._models])
        else:
            self._wanted = state

    def _set(self, state: list[list[str]]) -> None:
        for model, evaluated in zip(self._models, state, strict=False):
            for name, module in model.named_modules():
                module.training = name not in evaluated  # not train(): that would set the modules inside as well
