"""Builds a trial and its adapter from a Trial class."""

from __future__ import annotations

from detjupyter.errors import TrialUsageError
from detjupyter.framework.adapter import TrialOptions
from detjupyter.pytorch.adapter import PyTorchAdapter
from detjupyter.pytorch.callbacks import Callbacks
from detjupyter.pytorch.compilation import compile_model
from detjupyter.pytorch.constructor import construct
from detjupyter.pytorch.context import PyTorchTrialContext
from detjupyter.pytorch.device import choose_device
from detjupyter.pytorch.gradients import parameters_of
from detjupyter.pytorch.randomness import RandomStates, RandomStream
from detjupyter.pytorch.styles import procedure_for
from detjupyter.pytorch.trial import PyTorchTrial


def build(options: TrialOptions) -> PyTorchAdapter:
    """Construct the user's trial and return its adapter.

    The trial draws from separate random states, seeded with its seed. Those of the process stay unchanged.

    Raises:
        DeviceError: This machine has no such device.
        TrialUsageError: The trial wraps no model or no optimizer, or its class breaks a rule.
    """
    device = choose_device(options.device)
    randomness = RandomStream(RandomStates.seeded(options.seed, device), device)
    with randomness.active():
        context = PyTorchTrialContext(options.config, seed=options.seed, device=device)
        trial = construct(options.trial_class, context)
        adapter = adapt(trial, context, randomness, options.seed)
    if options.compile:
        for model in context.models:
            compile_model(model)
    return adapter


def adapt(trial: PyTorchTrial, context: PyTorchTrialContext, randomness: RandomStream, seed: int) -> PyTorchAdapter:
    """Return the adapter of a newly constructed trial.

    Raises:
        TrialUsageError: The trial wraps no model or no optimizer, or its class breaks a rule.
    """
    callbacks = Callbacks(trial.build_callbacks())
    procedure = procedure_for(trial, context, callbacks)
    procedure.set_up()
    for what, wrapped, verb in (("model", context.models, "wrap_model"), ("optimizer", context.optimizers, "wrap_optimizer")):
        if not wrapped:
            raise TrialUsageError(
                f"{type(trial).__name__}.__init__ wraps no {what}.", hint=f"Pass the {what} through `context.{verb}(…)` there."
            )
    _require_own_parameters(context)
    return PyTorchAdapter(trial, context, procedure, callbacks, randomness, seed)


def _require_own_parameters(context: PyTorchTrialContext) -> None:
    """Raise a TrialUsageError for an optimizer that has no parameter of any wrapped model, and so would train none of them."""
    wrapped = {id(parameter) for model in context.models for parameter in model.parameters()}
    for index, optimizer in enumerate(context.optimizers):
        trained = parameters_of(optimizer)
        if wrapped and wrapped.isdisjoint(map(id, trained)):
            raise TrialUsageError(
                f"Optimizer {index} ({type(optimizer).__name__}) has {len(trained)} parameters, but none of a wrapped model.",
                hint="Give it `model.parameters()` of what `context.wrap_model(…)` returned.",
            )
