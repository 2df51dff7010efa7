"""Facts of Determined's interface that no other test states: contexts, both styles, callbacks, schedulers, errors, the Core API."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import detjupyter as dj
from detjupyter.compat import determined as det
from detjupyter.compat.determined import core, errors, experimental
from detjupyter.compat.determined.common import check as newer_check
from detjupyter.compat.determined_common import check
from detjupyter.definition.config import Config
from detjupyter.errors import NotATrialError, TrialError
from detjupyter.pytorch import LRScheduler, PyTorchTrialContext

if TYPE_CHECKING:
    from integration.conftest import Definition

KEYWORDS = """
import torch
from torch.utils.data import TensorDataset
from determined.pytorch import DataLoader, LRScheduler, PyTorchTrial

data = TensorDataset(torch.linspace(-1, 1, 8).reshape(-1, 1))


class KeywordTrial(PyTorchTrial):
    '''Takes its arguments by name only, and in an order of its own.'''

    def __init__(self, context):
        self.context = context
        self.order = []

    def build_model(self):
        self.order.append("model")
        self.model = torch.nn.Linear(1, 1)
        return self.model

    def optimizer(self, *, model):
        self.order.append("optimizer")
        assert self.context.models == [model]
        return torch.optim.SGD(model.parameters(), lr=0.1)

    def create_lr_scheduler(self, *, optimizer):
        self.order.append("scheduler")
        return LRScheduler(torch.optim.lr_scheduler.StepLR(optimizer, 1), LRScheduler.StepMode.STEP_EVERY_EPOCH)

    def build_training_data_loader(self):
        self.order.append("training data")
        return DataLoader(data, batch_size=4)

    def build_validation_data_loader(self):
        self.order.append("validation data")
        return DataLoader(data, batch_size=4)

    def train_batch(self, *, batch_idx, epoch_idx, model, batch):
        assert model is self.model
        return {"loss": model(batch[0]).sum(), "place": 10.0 * epoch_idx + batch_idx}

    def evaluate_batch(self, *, model, batch):
        return {"error": model(batch[0]).sum()}
"""

NOTES = """
from detjupyter.pytorch import PyTorchCallback

events = []


class Note(PyTorchCallback):
    def __init__(self, name):
        self.name = name

    def load_state_dict(self, state_dict):
        events.append((self.name, "load_state_dict"))


def noted(moment):
    def note(self, *_, **__):
        events.append((self.name, moment))
    return note


for moment in [name for name in vars(PyTorchCallback) if name.startswith("on_")]:
    setattr(Note, moment, noted(moment))
"""

TWO_CALLBACKS = """    def build_callbacks(self):
        self.events = notes.events
        self.events.append(("trial", "build_callbacks"))
        return {"a": notes.Note("a"), "b": notes.Note("b")}

    def build_training_data_loader(self):
        self.events.append(("trial", "loader"))
"""


def context(hparams: dict[str, Any] | None = None, **raw: Any) -> PyTorchTrialContext:
    """Return a context on the CPU."""
    return PyTorchTrialContext(Config(raw=raw, hyperparameters=hparams or {}, data={}), seed=7, device=torch.device("cpu"))


def noting(line: Definition) -> Definition:
    """Give the line two callbacks that note what they are told, and two batches an epoch."""
    line.write(notes=NOTES)
    line.edit("import torch\n", "import torch\nimport notes\n")
    line.edit("batch_size=4", "batch_size=20")
    line.edit("    def build_training_data_loader(self):\n", TWO_CALLBACKS)
    return line


def told_to(session: Any, name: str) -> list[str]:
    """Return what one callback, or the trial, was told."""
    return [moment for who, moment in session.trial.events if who == name]


class TestContext:
    """What a context knows, and what it takes."""

    @pytest.mark.parametrize("slots", [0, 1, 4])
    def test_a_kernel_is_one_slot_whatever_the_config_asks_for(self, slots: int) -> None:
        """The batch size per slot is the global one, for 0 slots, too."""
        mine = context({"global_batch_size": 6}, resources={"slots_per_trial": slots})
        assert (mine.get_per_slot_batch_size(), mine.get_global_batch_size()) == (6, 6)
        assert mine.distributed.get_num_agents() == 1

    def test_a_stop_can_be_asked_for_and_taken_back(self) -> None:
        """The getter tells what was set."""
        mine = context()
        seen = [mine.get_stop_requested()]
        for asked in (True, False):
            mine.set_stop_requested(asked)
            seen.append(mine.get_stop_requested())
        assert seen == [False, True, False]

    def test_the_directory_of_tensorboard_is_a_path_that_stays(self) -> None:
        """`get_tensorboard_path` gives a `Path`, the same each time, without a writer."""
        mine = context()
        path = mine.get_tensorboard_path()
        assert isinstance(path, Path)
        assert path.is_dir()
        assert mine.get_tensorboard_path() == path
        assert list(path.iterdir()) == []

    def test_a_context_without_a_training_gives_everything_back_as_it_was(self) -> None:
        """`from_config`: `wrap_*` return what they are given and keep nothing; there are ids, hyperparameters and a seed."""
        mine = PyTorchTrialContext.from_config({"hyperparameters": {"lr": 0.5, "global_batch_size": 4}})
        model = torch.nn.Linear(1, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
        scaler = torch.amp.GradScaler("cpu", enabled=False)
        assert mine.wrap_scaler(scaler) is scaler
        assert mine.wrap_model(model) is model
        assert next(model.parameters()).device.type == mine.device.type
        assert mine.wrap_optimizer(optimizer) is optimizer
        assert mine.wrap_lr_scheduler(scheduler, LRScheduler.StepMode.STEP_EVERY_BATCH) is scheduler
        assert mine.configure_apex_amp(model, optimizer, enabled=True, opt_level="O1") == (model, optimizer)
        assert (mine.models, mine.optimizers, mine.lr_schedulers, mine.scaler) == ([], [], [], None)
        assert (mine.get_trial_id(), mine.get_experiment_id(), mine.get_trial_seed()) == (1, 1, 0)
        assert (mine.get_hparam("lr"), mine.get_per_slot_batch_size()) == (0.5, 4)

    def test_what_concerns_several_processes_is_taken(self) -> None:
        """`fp16_compression` changes nothing; the optimizer comes back and is listed."""
        mine = context()
        optimizer = torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=1)
        assert mine.wrap_optimizer(optimizer, backward_passes_per_step=2, fp16_compression=True) is optimizer
        assert mine.optimizers == [optimizer]

    def test_all_arguments_of_apex_are_taken(self) -> None:
        """By the names that apex had; without a GPU all is as before."""
        mine = context()
        model = mine.wrap_model(torch.nn.Linear(1, 1))
        optimizer = mine.wrap_optimizer(torch.optim.SGD(model.parameters(), lr=1))
        nones = [
            "cast_model_type",
            "patch_torch_functions",
            "keep_batchnorm_fp32",
            "master_weights",
            "cast_model_outputs",
            "min_loss_scale",
        ]
        options: dict[str, Any] = dict.fromkeys(nones)
        options |= {"loss_scale": "dynamic", "num_losses": 2, "verbosity": 0, "max_loss_scale": 2.0**24}
        returned = mine.configure_apex_amp(models=[model], optimizers=[optimizer], enabled=True, opt_level="O2", **options)
        assert returned == ([model], [optimizer])
        assert mine.scaler is None

    @pytest.mark.filterwarnings("ignore:Using backward:UserWarning")
    def test_backward_takes_what_torchs_does(self) -> None:
        """`gradient` weighs a loss of several elements, `retain_graph` allows a second pass, `create_graph` a derivative of it."""
        mine = context()
        weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
        loss = weight**2
        for _ in range(2):
            mine.backward(loss, gradient=torch.tensor([1.0, 0.5]), retain_graph=True)
        assert weight.grad is not None
        assert weight.grad.tolist() == [4.0, 4.0]
        weight.grad = None
        mine.backward((weight**3).sum(), create_graph=True)
        assert weight.grad.requires_grad

    def test_what_clips_gets_a_list(self) -> None:
        """It may be gone through twice."""
        mine = context()
        weight = torch.nn.Parameter(torch.zeros(2))
        optimizer = mine.wrap_optimizer(torch.optim.SGD([weight], lr=1.0))
        given: list[Any] = []
        mine.batch_idx = 0
        mine.backward(weight.sum())
        mine.step_optimizer(optimizer, clip_grads=given.append)
        (parameters,) = given
        assert isinstance(parameters, list)
        assert parameters[0] is weight

    def test_reducers_by_their_names_of_0_13(self) -> None:
        """`context.experimental` wraps, reduces and resets them, for training and for validation."""
        mine = context()
        both = mine.experimental.wrap_reducer(lambda values: sum(values), name="total")
        validation = mine.experimental.wrap_reducer(lambda values: len(values), name="count", for_training=False)
        for value in (1, 2):
            both.update(value)
            validation.update(value)
        assert mine.experimental.reduce_metrics(for_training=True) == {"total": 3}
        assert mine.experimental.reduce_metrics(for_training=False) == {"total": 3, "count": 2}
        mine.experimental.reset_reducers()
        assert mine.experimental.reduce_metrics(for_training=False) == {"total": 0, "count": 0}


class TestHowTrialsAreCalled:
    """Names of arguments, order of construction, and what counts as a style."""

    def test_callback_style_is_called_by_keyword(self, define: Callable[..., Definition]) -> None:
        """All methods; the model is wrapped before its optimizer is built, the data is built last."""
        session = define("keywords", model_def=KEYWORDS).load()
        session.train(batches=3, wait=True)
        assert session.metrics("place")[1].tolist() == [0.0, 1.0, 12.0]
        assert session.trial.order == ["model", "optimizer", "scheduler", "training data", "validation data"]
        assert session.metrics("error", "validation")[1].shape == (1,)

    def test_callback_style_evaluates_the_whole_data_by_keyword(self, define: Callable[..., Definition]) -> None:
        """`data_loader` and `model`; the loader is torch's."""
        definition = define("keywords", model_def=KEYWORDS)
        definition.edit("def evaluate_batch(self, *, model, batch):", "def evaluate_full_dataset(self, *, model, data_loader):")
        definition.edit('{"error": model(batch[0]).sum()}', '{"torchs": float(isinstance(data_loader, torch.utils.data.DataLoader))}')
        assert definition.load().validate() == {"torchs": 1.0}

    def test_context_style_is_called_by_keyword(self, line: Definition) -> None:
        """Training batches and validation batches."""
        line.edit("train_batch(self, batch, epoch_idx, batch_idx)", "train_batch(self, *, batch_idx, batch, epoch_idx)")
        line.edit("evaluate_batch(self, batch)", "evaluate_batch(self, *, batch)")
        session = line.load()
        session.train(batches=2, wait=True)
        assert session.metrics("error", "validation")[1].shape == (1,)

    @pytest.mark.parametrize("edit", [("return LRScheduler(", "LRScheduler("), ("def create_lr_scheduler(", "def unused(")])
    def test_callback_style_needs_no_scheduler(self, define: Callable[..., Definition], edit: tuple[str, str]) -> None:
        """It returns None, or the method is not there."""
        definition = define("keywords", model_def=KEYWORDS)
        definition.edit(*edit)
        session = definition.load()
        session.train(batches=3, wait=True)
        assert session.context.get_lr_scheduler() is None

    def test_callback_style_returns_a_loss_or_a_dict(self, define: Callable[..., Definition]) -> None:
        """Anything else is named."""
        definition = define("keywords", model_def=KEYWORDS)
        definition.edit('return {"loss"', 'return [{"loss"')
        definition.edit("+ batch_idx}", "+ batch_idx}]")
        with pytest.raises(TrialError, match="It returned list"):
            definition.load().train(batches=1, wait=True)

    def test_a_scheduler_method_alone_makes_it_callback_style(self, line: Definition) -> None:
        """Then `build_model` is missing."""
        line.edit("    def build_training", "    def create_lr_scheduler(self, optimizer): ...\n\n    def build_training")
        with pytest.raises(TrialError, match="has no build_model"):
            line.load()

    def test_a_style_may_be_inherited(self, define: Callable[..., Definition]) -> None:
        """The class itself overrides nothing."""
        definition = define("keywords", model_def=KEYWORDS + "\n\nclass Derived(KeywordTrial):\n    pass\n")
        session = definition.load("model_def:Derived")
        session.train(batches=2, wait=True)
        assert session.metrics("place")[1].tolist() == [0.0, 1.0]

    @pytest.mark.parametrize("inherited", [True, False])
    def test_a_class_of_the_name_pytorchtrial_overrides_like_any_other(self, line: Definition, inherited: bool) -> None:
        """It goes by the function, not by its qualified name; a class nested in one of that name counts, too."""
        line.edit("class LineTrial(PyTorchTrial):", "Base = PyTorchTrial\n\n\nclass PyTorchTrial(Base):")
        more = "class LineTrial(PyTorchTrial):\n    pass\n" if inherited else "LineTrial = PyTorchTrial\n"
        path = line.root / "model_def.py"
        path.write_text(f"{path.read_text()}\n\n{more}")
        session = line.load("model_def:LineTrial")
        session.train(batches=1, wait=True)
        assert "error" in session.validate()

    @pytest.mark.parametrize("method", ["build_training_data_loader", "build_validation_data_loader", "train_batch"])
    def test_what_every_trial_needs_is_asked_for(self, line: Definition, method: str) -> None:
        """The error names the method that is missing."""
        line.edit(f"def {method}", f"def other_{method}")
        with pytest.raises(NotATrialError, match=f"does not define {method}"):
            line.load()

    def test_gradients_are_zeroed_after_updates_never_before(self, line: Definition) -> None:
        """Those that the trial set before the first batch are part of the first update."""
        line.edit("torch.optim.Adam(", "torch.optim.SGD(")
        line.edit(
            "    def build_training_data_loader",
            "        for parameter in self.model.parameters():\n"
            "            parameter.grad = torch.full_like(parameter, context.get_hparam('left'))\n\n"
            "    def build_training_data_loader",
        )
        weights = []
        for left in (0.0, 1.0):
            session = line.load(hparams={"left": left, "lr": 0.5})
            session.train(batches=1, wait=True)
            weights.append(session.trial.model[0].weight.detach().clone())
            session.close()
        torch.testing.assert_close(weights[1], weights[0] - 0.5)

    def test_the_mode_of_models_is_not_set_per_batch(self, line: Definition) -> None:
        """What a trial switches to evaluation mode stays so for the batches after."""
        line.edit(
            'return {"loss": loss}', 'mode = self.model.training\n        self.model.eval()\n        return {"loss": loss, "mode": mode}'
        )
        session = line.load()
        session.train(batches=3, wait=True)
        assert session.metrics("mode")[1].tolist() == [1.0, 0.0, 0.0]

    @pytest.mark.parametrize(
        ("how", "device"),
        [("", "meta"), ("context.experimental.disable_auto_to_device()", "cpu"), ("full", "cpu")],
    )
    def test_validation_batches_are_moved_one_by_one_only(self, line: Definition, how: str, device: str) -> None:
        """Those of `evaluate_batch`, unless the trial moves them itself; never those of `evaluate_full_dataset`."""
        if how == "full":
            line.edit(
                "evaluate_batch(self, batch):\n        x, y = batch",
                "evaluate_full_dataset(self, data_loader):\n        x, y = next(iter(data_loader))",
            )
        else:
            line.edit("        self.context = context\n", f"        self.context = context\n        {how}\n")
        line.edit('return {"error": ((self.model(x) - y) ** 2).mean()}', 'self.seen = x.device.type\n        return {"error": 0.0}')
        session = line.load()
        session.context.device = torch.device("meta")
        session.validate()
        assert session.trial.seen == device


class TestCallbacks:
    """Order, where several listen, and where something ends early."""

    def test_the_first_validation_comes_after_the_start_of_the_training(self, line: Definition) -> None:
        """And before the first epoch; callbacks are built once, before the data."""
        session = noting(line).load(config={"perform_initial_validation": True})
        session.train(batches=1, wait=True)
        assert told_to(session, "trial") == ["build_callbacks", "loader"]
        told = told_to(session, "a")
        moments = ["on_trial_startup", "on_training_start", "on_validation_start", "on_validation_end", "on_training_epoch_start"]
        assert [moment for moment in told if moment in moments][:5] == moments

    def test_every_moment_is_told_in_the_order_of_names_and_the_end_backwards(self, line: Definition) -> None:
        """The validation of 2020's name is told to all before today's is told to any."""
        session = noting(line).load()
        session.train(epochs=1, wait=True)
        session.close()
        events = session.trial.events
        for moment in {moment for who, moment in events if who == "a"} - {"on_checkpoint_end", "on_checkpoint_write_end"}:
            names = [who for who, told in events if told == moment]
            order = ["b", "a"] if moment == "on_trial_shutdown" else ["a", "b"]
            assert names == order * (len(names) // 2), moment
        began = events.index(("a", "on_validation_step_start"))
        pairs = [
            ("a", "on_validation_step_start"),
            ("b", "on_validation_step_start"),
            ("a", "on_validation_start"),
            ("b", "on_validation_start"),
        ]
        assert events[began : began + 4] == pairs

    def test_the_whole_data_at_once_has_no_validation_epoch(self, line: Definition) -> None:
        """Only the start and the end of the validation."""
        noting(line).edit(
            "def evaluate_batch(self, batch):\n        x, y = batch",
            "def evaluate_full_dataset(self, data_loader):\n        x, y = next(iter(data_loader))",
        )
        session = line.load()
        session.validate()
        told = [moment for moment in told_to(session, "a") if moment.startswith("on_validation")]
        assert told == ["on_validation_step_start", "on_validation_start", "on_validation_step_end", "on_validation_end"]

    def test_a_restored_trial_is_told_before_its_state_comes_back(self, line: Definition) -> None:
        """Startup, the state shown to all, then loaded by each, then the training; no epoch begins in the middle of one."""
        session = noting(line).load()
        session.train(batches=1, wait=True)
        record = session.checkpoint()
        session.close()
        other = line.load()
        other.restore(record)
        other.train(batches=1, wait=True)
        events = other.trial.events
        assert "on_training_epoch_start" not in told_to(other, "a")
        assert "on_training_epoch_end" in told_to(other, "a")
        assert events.index(("b", "on_trial_startup")) < events.index(("trial", "loader")) < events.index(("a", "on_training_start"))
        moments = ["on_trial_startup", "on_checkpoint_load_start", "load_state_dict", "on_training_start"]
        assert [event for event in events if event[1] in moments] == [(name, moment) for moment in moments for name in "ab"]

    def test_the_end_is_told_after_a_failure_too(self, line: Definition) -> None:
        """When the session is closed."""
        noting(line).edit('return {"loss": loss}', "raise RuntimeError('no luck')")
        session = line.load()
        with pytest.raises(TrialError, match="no luck"):
            session.train(batches=1, wait=True)
        session.close()
        assert session.trial.events[-2:] == [("b", "on_trial_shutdown"), ("a", "on_trial_shutdown")]

    @pytest.mark.parametrize(
        ("moment", "batches"),
        [("on_training_start", 0), ("on_training_epoch_start", 0), ("on_training_epoch_end", 1), ("on_validation_end", 2)],
    )
    def test_hyperparameters_may_be_called_invalid_in_a_callback(self, line: Definition, moment: str, batches: int) -> None:
        """The training is stopped, not failed, with the reason in the log and a checkpoint of what was trained."""
        noting(line).edit("class LineTrial", "from determined import InvalidHP\n\n\nclass LineTrial")
        line.edit(
            '"b": notes.Note("b")}',
            f'"b": notes.Note("b"), "c": self.refusing()}}\n\n    def refusing(self):\n        class Refusing(notes.PyTorchCallback):\n'
            f'            def {moment}(self, *_):\n                raise InvalidHP(msg="lr is too large")\n        return Refusing()\n',
        )
        session = line.load()
        session.train(epochs=5, validate_every=2, wait=True)
        assert session.state == "stopped"
        assert session.run is not None
        assert any("lr is too large" in entry.text for entry in session.run.log())
        assert session.batches_trained >= batches
        assert max(checkpoint.batches_trained for checkpoint in session.run.checkpoints()) == session.batches_trained

    def test_hyperparameters_may_be_called_invalid_in_a_validation(self, line: Definition) -> None:
        """As in a batch; the exception needs no message."""
        line.edit("import torch\n", "import torch\nimport determined as det\n")
        line.edit('return {"error"', 'raise det.InvalidHP\n        return {"error"')
        session = line.load()
        session.train(batches=3, wait=True)
        assert (session.state, session.batches_trained) == ("stopped", 3)
        assert session.run is not None
        assert [checkpoint.batches_trained for checkpoint in session.run.checkpoints()] == [3]


SPLIT = """self.order = torch.randperm(40)
        return DataLoader(TensorDataset(inputs[self.order], targets[self.order]), batch_size=4"""

NOISY = """class Noisy(TensorDataset):
    def __init__(self, *tensors):
        super().__init__(*tensors)
        self.rng = np.random.default_rng(5)

    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return x, y + float(self.rng.normal())


class LineTrial"""


class TestDataOfARestoredTrial:
    """Loaders are built after the state was loaded, and yet they are those of a trial that was never interrupted."""

    @pytest.mark.parametrize("batches", [0, 7, 10])
    @pytest.mark.parametrize("way", ["restored", "restored twice", "reloaded"])
    def test_a_random_split_is_the_same_one_again(self, line: Definition, way: str, batches: int) -> None:
        """What `build_training_data_loader` draws from torch's generator is drawn as the first time; so go the losses, with dropout."""
        line.edit("return DataLoader(TensorDataset(inputs, targets), batch_size=4", SPLIT)
        self.check(line, way, batches)

    @pytest.mark.parametrize("batches", [7, 10])
    @pytest.mark.parametrize("way", ["restored", "restored twice", "reloaded"])
    def test_a_generator_of_the_dataset_goes_on(self, line: Definition, way: str, batches: int) -> None:
        """In the middle of an epoch, and at its end."""
        line.edit("import torch\n", "import numpy as np\nimport torch\n")
        line.edit("class LineTrial", NOISY)
        line.edit(
            "return DataLoader(TensorDataset(inputs, targets), batch_size=4", "return DataLoader(Noisy(inputs, targets), batch_size=4"
        )
        self.check(line, way, batches)

    def check(self, line: Definition, way: str, batches: int) -> None:
        """Train 20 batches at once, and again with an interruption; compare the losses after it to the bit."""
        whole = line.load(hparams={"dropout": 0.3})
        whole.train(batches=20, wait=True)
        losses = whole.metrics("loss")[1]
        whole.close()
        session = line.load(hparams={"dropout": 0.3})
        if batches:
            session.train(batches=batches, wait=True)
        if way == "reloaded":
            line.edit("Fits a", "Fits one")
            session.reload()
        for _ in range(way.count("restored") + way.count("twice")):
            record = session.checkpoint()
            session.close()
            session = line.load(hparams={"dropout": 0.3})
            session.restore(record)
        session.train(batches=20 - batches, wait=True)
        np.testing.assert_array_equal(session.metrics("loss")[1][batches - 20 :], losses[batches:])


class TestSchedulers:
    """Who may step them."""

    def test_a_trial_may_step_a_scheduler_that_is_stepped_for_it(self, line: Definition) -> None:
        """Both count; the wrapper may be stepped as well, and nobody looks."""
        line.edit("import DataLoader", "import DataLoader, LRScheduler")
        line.edit(
            "    def build_training",
            "        self.scheduler = context.wrap_lr_scheduler(\n"
            "            torch.optim.lr_scheduler.StepLR(self.optimizer, 1), step_mode=LRScheduler.StepMode.STEP_EVERY_BATCH)\n\n"
            "    def build_training",
        )
        line.edit(
            'return {"loss": loss}', 'self.scheduler.step()\n        self.context.lr_schedulers[0].step()\n        return {"loss": loss}'
        )
        session = line.load()
        (wrapped,) = session.context.lr_schedulers
        assert isinstance(wrapped, LRScheduler)
        session.train(batches=2, wait=True)
        assert session.trial.scheduler.last_epoch == 6


CHECKS: list[tuple[str, str, tuple[Any, ...], tuple[Any, ...]]] = [
    ("true", "check_true", (1,), (0,)),
    ("false", "check_false", (0,), (1,)),
    ("is_none", "check_none", (None,), (0,)),
    ("is_not_none", "check_not_none", (0,), (None,)),
    ("eq", "check_eq", (1, 1), (1, 2)),
    ("not_eq", "check_not_eq", (1, 2), (1, 1)),
    ("gt", "check_gt", (2, 1), (1, 1)),
    ("gt_eq", "check_gt_eq", (1, 1), (0, 1)),
    ("lt", "check_lt", (1, 2), (1, 1)),
    ("lt_eq", "check_lt_eq", (1, 1), (2, 1)),
    ("equal_lengths", "check_eq_len", ([1], [2]), ([1], [])),
    ("len_eq", "check_len", ([1], 1), ([1], 2)),
    ("is_in", "check_in", (1, [1]), (2, [1])),
    ("not_in", "check_not_in", (2, [1]), (1, [1])),
    ("is_type", "check_type", (1, int), (True, int)),
    ("is_instance", "check_isinstance", (True, int), ("1", int)),
    ("is_not_instance", "check_not_isinstance", ("1", int), (True, int)),
    ("is_subclass", "check_issubclass", (bool, int), (str, int)),
]


class TestErrors:
    """What definitions raise and catch."""

    @pytest.mark.parametrize(("name", "older_name", "holds", "fails"), CHECKS, ids=[name for name, *_ in CHECKS])
    def test_each_check(self, name: str, older_name: str, holds: tuple[Any, ...], fails: tuple[Any, ...]) -> None:
        """By both names, in both packages; one that fails raises with the reason, given last or by name."""
        for module in (check, newer_check):
            for function in (getattr(module, name), getattr(module, older_name)):
                function(*holds)
                function(*holds, "as it must be")
                function(*holds, reason=None)
                with pytest.raises(module.CheckFailedError, match="CHECK FAILED"):
                    function(*fails)
                with pytest.raises(module.CheckFailedError, match="as it must be"):
                    function(*fails, reason="as it must be")

    def test_the_family_of_errors(self) -> None:
        """All but `InvalidExperimentException` are an `Exception`; one of a type of data keeps it."""
        assert issubclass(errors.InvalidExperimentException, BaseException)
        for name in ("InternalException", "SkipWorkloadException", "StopLoadingImplementation", "WorkerError", "InvalidDataTypeException"):
            assert issubclass(getattr(errors, name), Exception), name
        error = errors.InvalidDataTypeException(int, "no data")
        assert (error.data_type, error.message) == (int, "no data")
        assert issubclass(det.InvalidHP, Exception)
        assert isinstance(det.InvalidHP(), det.InvalidHP)

    @pytest.mark.parametrize("where", ["__init__", "train_batch", "evaluate_batch"])
    def test_one_that_is_no_exception_is_told_like_any_other(self, line: Definition, where: str) -> None:
        """`InvalidExperimentException` passes the definition's own `except Exception`, and then the session names it and goes on."""
        line.edit("import torch\n", "import torch\nfrom determined.errors import InvalidExperimentException\n")
        pieces = {
            "__init__": "        self.context = context\n",
            "train_batch": '        return {"loss": loss}\n',
            "evaluate_batch": '        return {"error"',
        }
        raising = (
            "        try:\n            raise InvalidExperimentException('no such data')\n        except Exception:\n            pass\n"
        )
        line.edit(pieces[where], raising + pieces[where])
        with pytest.raises(TrialError, match="InvalidExperimentException: no such data"):
            line.load().train(batches=1, wait=True)


class TestTryingOut:
    """`create_trial_instance`."""

    def test_the_callers_config_stays_as_it_is(self, line: Definition) -> None:
        """Keys that do not matter here are neither used nor removed."""
        config: dict[str, Any] = {
            "hyperparameters": {"lr": {"type": "double", "minval": 0.1, "maxval": 0.2}},
            "checkpoint_storage": {"type": "shared_fs"},
            "searcher": {"name": "single", "metric": "error", "max_length": {"batches": 4}},
        }
        before = copy.deepcopy(config)
        trial: Any = experimental.create_trial_instance(dj.ModelDefinition(line.root).import_trial("model_def:LineTrial"), "", config)
        assert config == before
        assert 0.1 <= trial.context.get_hparam("lr") <= 0.2
        assert trial.context.get_trial_id() == 1


class TestCoreApi:
    """What scripts may call, with little to do here."""

    def test_every_call_of_a_script_is_answered(self, tmp_path: Path) -> None:
        """One operation of length 1; reports, files for TensorBoard and the modes of `init` are taken."""
        with core.init(
            distributed=None,
            checkpoint_storage=str(tmp_path),
            preempt_mode=core.PreemptMode.WorkersAskChief,
            tensorboard_mode=core.TensorboardMode.AUTO,
        ) as made:
            operations = list(made.searcher.operations())
            assert [operation.length for operation in operations] == [1]
            operations[0].report_progress(0.5)
            made.train.report_training_metrics(steps_completed=2, metrics={"loss": 1.0}, batch_metrics=[{"loss": 3.0}, {"loss": 4.0}])
            made.train.report_validation_metrics(steps_completed=2, metrics={"error": 0.5})
            made.train.upload_tensorboard_files()
            operations[0].report_completed(0.5)
            assert (made.distributed.rank, made.distributed.size, made.distributed.get_rank()) == (0, 1, 0)
            assert made.preempt.should_preempt() is False
        run = dj.run(made.run_id)
        assert [series.tolist() for series in run.metrics("loss")] == [[2], [1.0]]

    def test_a_checkpoint_that_does_not_say_how_far_it_is_counts_as_the_beginning(self) -> None:
        """Off a cluster `steps_completed` may be missing, and so may all metadata."""
        with core.init() as made:
            with made.checkpoint.store_path({"mine": 1}) as (path, first):
                assert isinstance(path, Path)
                (path / "weights.txt").write_text("mine")
            with made.checkpoint.store_path() as (path, second):
                (path / "weights.txt").write_text("more")
            assert made.checkpoint.get_metadata(first)["mine"] == 1
        counts: Mapping[str, int] = {one.id: one.batches_trained for one in dj.run(made.run_id).checkpoints()}
        assert counts == {first: 0, second: 0}
