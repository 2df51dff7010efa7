"""Which parameters a training updates, and how: ``requires_grad``, and the parameter groups of the optimizers.

The ``state_dict`` of a model contains no ``requires_grad``. That of an optimizer contains the settings of its groups, and their parameters
only as numbers, so it cannot be loaded into an optimizer with other groups.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from detjupyter.errors import StateMismatchError
from detjupyter.pytorch.context import PyTorchTrialContext
from detjupyter.pytorch.gradients import parameters_of

Groups = list[list[list[str]]]
"""The names of the parameters, by optimizer and group."""


class TrainedParameters:
    """The parameters of one trial, by name: ``requires_grad``, and the groups of optimizers that contain them.

    Both can be set by the code and changed by the training, and a state contains both versions of both. So an edit of the code takes effect
    when a state is loaded, and all that only the training changed is restored.

    Args:
        context: The context of a newly built trial.
    """

    def __init__(self, context: PyTorchTrialContext) -> None:
        self._context = context
        self._others: dict[str, torch.Tensor] = {}  # parameters of optimizers that belong to no wrapped model
        self._written_groups = self._groups()
        self._written_frozen = self._frozen()

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        groups, names = self._groups(), self._names()
        # Training can add these parameters again, and then continues with their states.
        removed = [
            {names[id(parameter)]: state for parameter, state in _removed(optimizer).items() if id(parameter) in names}
            for optimizer in self._context.optimizers
        ]
        return {
            "groups": groups,
            "written_groups": self._written_groups,
            "frozen": self._frozen(),
            "written_frozen": self._written_frozen,
            "removed": removed,
            "gradients_of_others": {name: each.grad for name, each in self._others.items() if each.grad is not None},
        }

    def load_groups(self, state: Mapping[str, Any], path: str | None) -> None:
        """Give the optimizers the groups of a state, before their own states are loaded, which contain the settings of the groups.

        Raises:
            StateMismatchError: An edit changed the groups, or the trial has no parameter with one of the names.
        """
        theirs, written, mine = state["groups"], state["written_groups"], self._written_groups
        if written == mine:
            self._set_groups(theirs, path)
        # With other names, for example after a callback renamed the parameters of the state, only the positions can match.
        elif theirs == mine or (theirs == written and not set(_names_in(theirs)) <= set(self._by_name())):
            self._set_groups(mine, path)
        else:
            index = next(number for number, groups in enumerate(mine) if groups != theirs[number])
            sizes = " + ".join(str(len(group)) for group in theirs[index])
            raise StateMismatchError(
                f"The state of optimizer {index} does not fit: the code creates other parameter groups than those in the state.",
                path=path,
                hint=f"Undo the edit of the groups, or create those of the state in __init__ ({sizes} parameters).",
            )

    def load_the_rest(self, state: Mapping[str, Any]) -> None:
        """Set what the optimizers' own states lack, after these were loaded.

        That is ``requires_grad``, the states of parameters in no group, and the gradients of parameters outside of the models.
        """
        written, frozen = set(self._written_frozen), set(state["frozen"])
        edited = written ^ set(state["written_frozen"])
        parameters = self._by_name()
        for name, parameter in parameters.items():
            wanted = name not in (written if name in edited else frozen)
            if parameter.requires_grad is not wanted:
                parameter.requires_grad_(wanted)
        for optimizer, removed in zip(self._context.optimizers, state["removed"], strict=True):
            for name, values in removed.items():
                if name in parameters:
                    optimizer.state[parameters[name]] = {key: _copied(value, parameters[name]) for key, value in values.items()}
        for name, parameter in self._others.items():
            gradient = state.get("gradients_of_others", {}).get(name)
            parameter.grad = None if gradient is None else gradient.to(parameter.device, copy=True)

    def groups_with(self, index: int, number: int) -> list[dict[str, Any]]:
        """Return the present groups of optimizer ``index`` that contain parameters of the group ``number`` that the code created."""
        written = set(self._written_groups[index][number])
        groups, names = self._context.optimizers[index].param_groups, self._groups()[index]
        return [group for group, inside in zip(groups, names, strict=True) if written.intersection(inside)]

    def _set_groups(self, wanted: Groups, path: str | None) -> None:
        parameters = self._by_name()
        for index, (optimizer, now, groups) in enumerate(zip(self._context.optimizers, self._groups(), wanted, strict=True)):
            if now == groups:
                continue
            missing = next((name for group in groups for name in group if name not in parameters), None)
            if missing is not None:
                raise StateMismatchError(
                    f"The state of optimizer {index} does not fit: the trial has no {missing!r} for its groups.",
                    path=path,
                    hint="Create the parameters of all groups in __init__, in a model that context.wrap_model() wraps.",
                )
            optimizer.param_groups = [{**optimizer.defaults, "params": [parameters[name] for name in group]} for group in groups]

    def _groups(self) -> Groups:
        names = self._names()
        return [
            [[names.get(id(each)) or self._name_other(names, each) for each in group["params"]] for group in optimizer.param_groups]
            for optimizer in self._context.optimizers
        ]

    def _frozen(self) -> list[str]:
        """Return the names of the parameters without gradients."""
        return [name for name, parameter in self._by_name().items() if not parameter.requires_grad]

    def _names(self) -> dict[int, str]:
        """Return the first name of each parameter, by its id."""
        return {id(parameter): name for name, parameter in reversed(self._by_name().items())}

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


def _names_in(groups: Groups) -> Iterator[str]:
    return (name for optimizer in groups for group in optimizer for name in group)


def _copied(value: Any, parameter: torch.Tensor) -> Any:
    """Return a copy of a value in an optimizer's state: on the parameter's device, except scalars such as Adam's ``step``."""
    if not isinstance(value, torch.Tensor):
        return value
    return value.to(parameter.device, copy=True) if value.shape == parameter.shape else value.clone()
