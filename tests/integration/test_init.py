"""``pytorch.init``: the context that a script gets."""

from __future__ import annotations

import pytest
import torch
from support.fitting import Fit, parameters, session_of, trainer_of

from detjupyter import pytorch
from detjupyter.errors import ArgumentError, HyperparameterError, TrialError
from detjupyter.pytorch import Batch


class TestInit:
    """Arguments and ids."""

    def test_its_arguments_are_determineds_and_by_name_only(self) -> None:
        """With Determined's defaults."""
        assert parameters(pytorch.init) == {
            "hparams": None,
            "exp_conf": None,
            "distributed": None,
            "aggregation_frequency": 1,
            "enable_tensorboard_logging": True,
        }
        with pytest.raises(TypeError):
            pytorch.init({"lr": 0.1})  # type: ignore[misc]

    def test_it_gives_a_context_and_seeds_nothing(self) -> None:
        """The ids are 1, as everywhere here; the process draws on as it would have."""
        before = torch.get_rng_state()
        with pytorch.init() as context:
            assert isinstance(context, pytorch.PyTorchTrialContext)
            assert (context.get_trial_id(), context.get_experiment_id()) == (1, 1)
        assert torch.equal(torch.get_rng_state(), before)


def test_a_context_without_a_config_says_what_it_has_not() -> None:
    """No hyperparameters, no config, no seed: errors that a definition can catch as `ValueError`, each saying how to give them."""
    with pytorch.init() as context:
        for ask in (context.get_hparams, lambda: context.get_hparam("lr"), context.get_global_batch_size, context.get_experiment_config):
            with pytest.raises(ValueError, match=r"pytorch\.init\(\)"):
                ask()
        with pytest.raises(TrialError, match="seed"):
            context.get_trial_seed()
        assert context.get_data_config() == {}


def test_a_context_knows_what_init_was_given() -> None:
    """Hyperparameters win over the config's; the config gives the data section, the seed and the length."""
    config = {
        "hyperparameters": {"lr": 0.5, "global_batch_size": 4},
        "data": {"url": "here"},
        "reproducibility": {"experiment_seed": 12},
        "searcher": {"name": "single", "metric": "error", "max_length": {"batches": 4}},
    }
    with pytorch.init(exp_conf=config) as context:
        assert context.get_hparam("lr") == 0.5
        assert context.get_per_slot_batch_size() == 4
        assert context.get_data_config() == {"url": "here"}
        assert context.get_trial_seed() == 12
        trainer = pytorch.Trainer(Fit(context), context)
        trainer.fit()
        assert session_of(trainer).batches_trained == 4
    with pytorch.init(hparams={"lr": 0.25}, exp_conf=config) as context:
        assert context.get_hparam("lr") == 0.25
        with pytest.raises(HyperparameterError):
            context.get_hparam("global_batch_size")
    with pytorch.init(hparams={"lr": 0.1}) as context, pytest.raises(HyperparameterError) as raised:
        context.get_hparam("depth")
    assert "pytorch.init(hparams={…, 'depth': …})" in str(raised.value.hint)
    with pytest.raises(ArgumentError, match="in one process, not in 4"), pytorch.init(distributed=type("Four", (), {"size": 4})()):
        pass


def test_gradients_are_gathered_over_as_many_batches_as_init_says() -> None:
    """`aggregation_frequency=2`: the weights change after every other batch only."""
    seen: list[float] = []

    def note(trial: Fit, batch_idx: int) -> None:
        seen.append(float(trial.model[0].weight.detach().sum()))

    trainer = trainer_of(before_batch=note, aggregation_frequency=2)
    trainer.fit(max_length=Batch(5))
    assert seen[0] == seen[1] != seen[2] == seen[3] != seen[4]
