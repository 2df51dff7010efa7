"""A model definition that is trained as its configuration says."""

from __future__ import annotations

import pytest
from support.definition import Definition
from support.listening import listening
from support.trained import checkpoints, validations

from detjupyter.errors import TrialError


class TestConfiguredTraining:
    """Lengths, periods and restarts."""

    def test_all_of_it_comes_from_the_configuration(self, line: Definition) -> None:
        """Length, periods, reporting periods, the first validation and the policy come from the configuration."""
        session = listening(line).load(
            config={
                "searcher": {"name": "single", "metric": "error", "max_length": {"batches": 10}},
                "min_validation_period": {"batches": 4},
                "min_checkpoint_period": {"batches": 3},
                "scheduling_unit": 5,
                "checkpoint_policy": "none",
                "perform_initial_validation": True,
            }
        )
        session.train(wait=True)
        assert validations(session) == [0, 4, 8, 10]
        assert checkpoints(session) == [3, 6, 9, 10]
        assert [one["batches"] for one in session.trial.periods.averages] == [3, 4, 5, 6, 8, 9, 10]

    def test_records_are_counted_in_whole_batches_of_them(self, line: Definition) -> None:
        """Four a batch: 11 records are two batches; fewer than a batch are one."""
        session = line.load(
            config={
                "searcher": {"name": "single", "metric": "error", "max_length": {"records": 20}},
                "min_validation_period": {"records": 11},
                "min_checkpoint_period": {"records": 1},
                "checkpoint_policy": "none",
            }
        )
        session.train(wait=True)
        assert (validations(session), checkpoints(session)) == ([2, 4, 5], [1, 2, 3, 4, 5])

    def test_an_epoch_may_be_so_many_records(self, line: Definition) -> None:
        """`records_per_epoch` decides where the config has it, over the length of the loader."""
        config = {
            "records_per_epoch": 10,
            "searcher": {"name": "single", "metric": "error", "max_length": {"epochs": 2}},
            "min_validation_period": {"epochs": 1},
        }
        session = line.load(config=config)
        session.train(wait=True)
        assert validations(session) == [2, 4, 5]

    def test_steps_of_2020_end_with_one_validation(self, line: Definition) -> None:
        """`max_steps` of `batches_per_step` batches; no period, no validation on the way."""
        config = {"batches_per_step": 4, "searcher": {"name": "single", "metric": "error", "max_steps": 3}}
        session = listening(line).load(config=config)
        session.train(wait=True)
        assert validations(session) == checkpoints(session) == [12]
        assert [one["batches"] for one in session.trial.periods.averages] == [4, 8, 12]

    def test_a_trial_that_fails_is_not_started_again(self, line: Definition) -> None:
        """Regardless of `max_restarts`, the session names the error, and continues when the user trains again."""
        line.edit("        x, y = batch\n        loss", "        assert batch_idx != 2 or self.failed\n        x, y = batch\n        loss")
        line.edit("    def train_batch", "    failed = False\n\n    def train_batch")
        session = line.load(config={"max_restarts": 5})
        with pytest.raises(TrialError, match="AssertionError"):
            session.train(batches=4, wait=True)
        assert (session.state, session.batches_trained) == ("failed", 2)
        session.at_batch(lambda trial: setattr(trial, "failed", True))
        session.train(batches=2, wait=True)
        assert (session.state, session.batches_trained) == ("finished", 4)

    def test_the_configuration_of_a_test_run_on_a_cluster(self, line: Definition) -> None:
        """One batch, one validation, and no checkpoint stays."""
        config = {
            "scheduling_unit": 1,
            "searcher": {"name": "single", "metric": "error", "max_length": {"batches": 1}},
            "checkpoint_storage": {"save_experiment_best": 0, "save_trial_best": 0, "save_trial_latest": 0},
            "max_restarts": 0,
        }
        session = line.load(config=config)
        session.train(wait=True)
        assert session.batches_trained == 1
        assert validations(session) == checkpoints(session) == [1]
        assert session.run is not None
        assert session.run.checkpoints() == []

    def test_a_trial_is_built_with_what_it_says(self, line: Definition) -> None:
        """Data, nested hyperparameters and the seed reach the trial; only a trial that needs a batch size asks for it."""
        config = {
            "data": {"url": "here", "parts": [1, 2]},
            "hyperparameters": {"net": {"depth": 3}},
            "reproducibility": {"experiment_seed": 77},
        }
        context = line.load(config=config, seed=None).context
        assert context.get_data_config() == {"url": "here", "parts": [1, 2]}
        assert context.get_hparam("net") == {"depth": 3}
        assert context.get_trial_seed() == 77
        with pytest.raises(ValueError, match="global_batch_size"):
            context.get_global_batch_size()

    def test_without_a_seed_there_is_a_new_one_each_time(self, line: Definition) -> None:
        """The trial knows the new seed, so that a training can be repeated."""
        seeds = [line.load(seed=None).context.get_trial_seed() for _ in range(3)]
        assert len(set(seeds)) > 1
        assert all(type(seed) is int and 0 <= seed < 2**32 for seed in seeds)

    def test_the_card_says_whether_the_seed_was_drawn(self, line: Definition) -> None:
        """A reload keeps a drawn seed, so the card says it again."""
        session = line.load(seed=None)
        before = session.card()
        session.reload()
        after = session.card()
        assert before.is_seed_drawn
        assert (after.seed, after.is_seed_drawn) == (before.seed, True)
        assert not line.load(seed=before.seed).card().is_seed_drawn
        assert not line.load(seed=None, config={"reproducibility": {"experiment_seed": 77}}).card().is_seed_drawn

    def test_the_card_has_what_is_wrong_with_the_files_apart(self, line: Definition) -> None:
        """A view that lists the files has its own remarks about them."""
        (line.root / ".env").write_text("TOKEN=1\n")
        card = line.load().card()
        assert any("may hold credentials: .env" in note for note in card.file_notes)
        assert not any("credentials" in note for note in card.notes)
