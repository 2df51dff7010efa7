"""Which metrics a trial may return from its batches and validations, and what the history has of them."""

from __future__ import annotations

import numpy as np
import pytest
from support.definition import Definition
from support.line_edits import EVALUATED, TRAINED
from support.listening import in_constructor, listening
from support.trained import validations
from support.warned import warned

from detjupyter.errors import TrialError
from detjupyter.pytorch import Reducer


class TestTraining:
    """The metrics of training batches."""

    @pytest.mark.parametrize("returned", ["5", "[loss]", "None"])
    def test_a_training_metric_is_the_loss_or_a_dict(self, line: Definition, returned: str) -> None:
        """Nothing else."""
        line.edit('return {"loss": loss}', f"return {returned}")
        with pytest.raises(TrialError, match="must return the loss or a dict of metrics"):
            line.load().step()

    def test_the_loss_alone_is_called_loss(self, line: Definition) -> None:
        """A tensor instead of a dict."""
        line.edit('return {"loss": loss}', "return loss")
        session = line.load()
        session.step(3)
        assert session.metrics("loss")[0].tolist() == [1, 2, 3]

    def test_those_that_a_trial_calls_batches_or_epochs_are_its_own(self, line: Definition) -> None:
        """The counts are added to the averages only where the trial has no such metric, and to no batch."""
        listening(line).edit(TRAINED, 'return {"loss": loss, "epochs": 0.5}')
        session = line.load()
        session.train(batches=12, wait=True)
        (averages,), (batches,) = session.trial.periods.averages, session.trial.periods.batches
        assert (averages["batches"], averages["epochs"]) == (12, 0.5)
        assert {tuple(row) for row in batches} == {("loss", "epochs")}

    def test_a_custom_reducer_is_part_of_the_averages_and_of_no_batch(self, line: Definition) -> None:
        """It takes the place of an average of its name."""
        in_constructor(listening(line), "context.wrap_reducer(lambda _: -1.0, name='loss')")
        in_constructor(line, "context.wrap_reducer(lambda _: 5.0, name='five')")
        session = line.load()
        session.train(batches=2, wait=True)
        (averages,), (batches,) = session.trial.periods.averages, session.trial.periods.batches
        assert averages == {"loss": -1.0, "five": 5.0, "batches": 2, "epochs": 0}
        assert [list(row) for row in batches] == [["loss"], ["loss"]]
        assert all(row["loss"] >= 0 for row in batches)

    def test_none_of_them_has_to_be_called_loss(self, line: Definition) -> None:
        """Determined of 2020 required a name that begins with "loss"; here any name is accepted."""
        line.edit(TRAINED, 'return {"squares": loss}')
        session = line.load()
        session.train(batches=3, wait=True)
        assert len(session.metrics("squares")[1]) == 3


def test_metrics_that_a_trial_adds_to_are_kept_as_they_were(line: Definition) -> None:
    """A tensor that a later batch modifies in place is recorded with the value of its own batch."""
    line.edit("def train_batch(self", "total = torch.zeros(())\n\n    def train_batch(self")
    line.edit('return {"loss": loss}', 'self.total += 1\n        return {"loss": loss, "total": self.total}')
    session = line.load()
    session.train(batches=7, wait=True)
    np.testing.assert_array_equal(session.metrics("total")[1], np.arange(1, 8))


def test_a_metric_of_some_batches_has_points_there_and_nowhere_else(line: Definition) -> None:
    """A missing value is not recorded as NaN."""
    line.edit('return {"loss": loss}', 'return {"loss": loss, **({"extra": 5.0} if batch_idx % 3 == 0 else {}), "none": None}')
    session = line.load()
    session.train(batches=8, wait=True)
    batches, values = session.metrics("extra")
    assert batches.tolist() == [1, 4, 7]
    assert values.tolist() == [5.0, 5.0, 5.0]
    assert session.run is not None
    assert "none" not in session.run.metric_names()


def test_names_and_numbers_of_metrics_that_nobody_expects(line: Definition) -> None:
    """A number as a name is converted to text; an integer that float64 cannot represent is left out."""
    line.edit('return {"loss": loss}', 'return {"loss": loss, 1: 2.0, "huge": 10**400}')
    line.edit('return {"error": ', 'return {7: 2.0, "error": ')
    session = line.load()
    session.train(batches=3, wait=True)
    assert session.run is not None
    assert sorted(session.run.metric_names()) == ["1", "loss"]
    assert session.record().latest["validation"]["7"] == 2.0


class TestValidation:
    """The metrics of a validation."""

    def test_reducers_have_determineds_values(self) -> None:
        """Configurations and old code name them by number, too."""
        assert [(one.name, one.value) for one in Reducer] == [("AVG", 1), ("SUM", 2), ("MAX", 3), ("MIN", 4)]

    def test_the_average_is_the_default_and_weighs_all_batches_alike(self, line: Definition) -> None:
        """A batch of 30 records counts as much as one of 10."""
        line.edit("batch_size=20", "batch_size=30")
        line.edit(EVALUATED, 'return {"error": float(len(x)), "pair": [1.0, float(len(x))]}')
        assert line.load().validate() == {"error": 20.0, "pair": 10.5}

    def test_of_the_whole_data_arrays_are_kept(self, line: Definition) -> None:
        """Callers get them as they are; curves have their means, as those of training batches."""
        whole = "def evaluate_full_dataset(self, data_loader):\n        return {'all': torch.arange(3), 'flag': True, 'error': 0.5}\n\n"
        line.edit("    def evaluate_batch", f"    {whole}    def unused")
        session = line.load(config={"searcher": {"metric": "error"}})
        metrics = session.validate()
        assert isinstance(metrics["all"], np.ndarray)
        assert metrics["all"].tolist() == [0, 1, 2]
        assert session.metrics("flag", "validation")[1].tolist() == [1.0]
        assert session.run is not None
        assert set(session.run.metric_names("validation")) == {"all", "flag", "error"}
        assert session.metrics("all", "validation")[1].tolist() == [1.0]

    @pytest.mark.parametrize("metric", ["all", "elsewhere"])
    def test_a_searchers_metric_that_is_no_number_ranks_nothing_and_ends_nothing(self, line: Definition, metric: str) -> None:
        """Determined fails the trial; here the first metric that is a number ranks in its place."""
        whole = "def evaluate_full_dataset(self, data_loader):\n        return {'all': torch.ones(3), 'error': 0.5}\n\n"
        line.edit("    def evaluate_batch", f"    {whole}    def unused")
        session = line.load(config={"searcher": {"metric": metric}})
        session.train(batches=2, wait=True)
        best = session.record().best
        assert (session.state, best.name, best.value) == ("finished", "error", 0.5)

    def test_how_far_the_training_is_stands_beside_them_not_among_them(self, line: Definition) -> None:
        """Determined reports `batches` and `epochs` as metrics; here a curve has the batches for its axis."""
        session = line.load()
        session.step(3)
        assert set(session.validate()) == {"error"}
        assert validations(session) == [3]

    @pytest.mark.parametrize(
        ("returned", "words"),
        [
            ("5", "must return a dict of metrics"),
            ("{'error': None}", "must be a number of one shape"),
            ("{'error': 'text'}", "must be a number of one shape"),
            ("{'error': torch.zeros(len(x), int(x[0] > -1) + 1)}", "must be a number of one shape"),
            ("{'a' if x[0] == -1 else 'b': 1.0}", "the same metrics for every batch"),
        ],
    )
    def test_what_is_no_metric_is_refused(self, line: Definition, returned: str, words: str) -> None:
        """The message says what is expected and what came."""
        line.edit('return {"error": ((self.model(x) - y) ** 2).mean()}', f"return {returned}")
        with pytest.raises(TrialError, match=words):
            line.load().validate()


NESTED = "{'val': {'a': 0.5, 'b': {'c': 1.5}}, 'pair': [1.0, 2.0], ('t', 1): 3.0, 's': 'x', 'z': 1j, 'h': 10**400}"
RECORDED = {"val/a": 0.5, "val/b/c": 1.5, "pair": 1.5, "('t', 1)": 3.0}


class TestBothGroups:
    """The same metrics, returned by a training batch, a validation batch and a validation of the whole data."""

    @pytest.mark.parametrize("method", ["train_batch", "evaluate_batch", "evaluate_full_dataset"])
    def test_nested_metrics_lists_and_names_are_recorded_alike_and_the_others_are_named_once(self, method: str, line: Definition) -> None:
        """Curves, latest values, the history and the ranking have the same names; the log names the others once, with their kinds."""
        group = "training" if method == "train_batch" else "validation"
        if method == "train_batch":
            line.edit(TRAINED, f"return {{'loss': loss, **{NESTED}}}")
        elif method == "evaluate_batch":
            line.edit(EVALUATED, f"return {NESTED}")
        else:
            line.edit(
                "    def evaluate_batch", f"    def evaluate_full_dataset(self, data_loader):\n        return {NESTED}\n\n    def unused"
            )
        session = line.load(config={"searcher": {"metric": "val/b/c"}})
        for _ in range(2):
            session.train(batches=2, wait=True)
        assert session.run is not None
        loss = ["loss"] if group == "training" else []
        assert sorted(session.run.metric_names(group)) == sorted([*RECORDED, *loss])
        for name, value in RECORDED.items():
            assert set(session.metrics(name, group)[1].tolist()) == {value}
            assert set(session.run.metrics(name, group)[1].tolist()) == {value}
            assert session.record().latest[group][name] == value
        text = "\n".join(line.text for line in session.run.log())
        assert [text.count(repr(name)) for name in ("s", "z", "h")] == [1, 1, 1]
        if group == "validation":
            assert session.record().best.name == "val/b/c"

    def test_a_callback_gets_what_evaluate_batch_returned(self, line: Definition) -> None:
        """Nested metrics are only recorded by their paths."""
        line.edit(EVALUATED, "return {'box': {'AP': 1.0}, 7: 2.0}")
        line.edit(
            "    def evaluate_batch",
            """    def build_callbacks(self):
        from detjupyter.pytorch import PyTorchCallback

        class Outputs(PyTorchCallback):
            def on_validation_epoch_end(self, outputs):
                self.seen = outputs

        self.outputs = Outputs()
        return {"outputs": self.outputs}

    def evaluate_batch""",
        )
        session = line.load()
        assert session.validate() == {"box/AP": 1.0, "7": 2.0}
        assert session.trial.outputs.seen[0] == {"box": {"AP": 1.0}, 7: 2.0}

    def test_a_validation_keeps_the_rest(self, line: Definition) -> None:
        """Of several metrics those that cannot be averaged are left out: of other shapes, None in one batch, text."""
        line.edit(
            EVALUATED,
            "return {'good': 1.0, 'shapes': torch.zeros(len(x) + batch_idx), 'none': None if batch_idx else 2.0, 'text': 'x'}",
        )
        line.edit("def evaluate_batch(self, batch", "def evaluate_batch(self, batch, batch_idx")
        names = "['good', 'shapes', 'none', 'text']"
        reducer = f"    def evaluation_reducer(self):\n        return dict.fromkeys({names}, Reducer.MAX)\n\n"
        line.edit("    def evaluate_batch", f"{reducer}    def evaluate_batch")
        line.edit("import torch\n", "import torch\nfrom determined.pytorch import Reducer\n")
        session = line.load()
        assert session.validate() == session.validate() == {"good": 1.0}
        text = "\n".join(warned(session, "metric"))
        assert [text.count(f"metric {name!r} is left out") for name in ("shapes", "none", "text")] == [1, 1, 1]
        assert "Batch 1 returned None" in text
