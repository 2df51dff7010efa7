"""The loops that are compared: the same network, data and optimizer in different hands; each peer keeps every loss in its own way."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

DEFINITION = Path(__file__).parent / "definitions" / os.environ["DETJUPYTER_BENCH_MODEL"]
sys.path.append(str(DEFINITION))

from data import make_batches, make_loader, make_source  # noqa: E402  they are the definition's own
from network import Network  # noqa: E402
from stopwatch import Stopwatch  # noqa: E402

PEERS = tuple(name for name in ("ignite", "skorch") if find_spec(name) is not None)

if os.environ.get("DETJUPYTER_BENCH_THREADS", "1") == "1":
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
_batches = make_batches()


def _network() -> tuple[Network, torch.optim.Optimizer]:
    torch.manual_seed(0)
    network = Network()
    return network, torch.optim.SGD(network.parameters(), lr=0.01)


def _train(batches: Any, losses: list[float] | None) -> Stopwatch:
    network, optimizer = _network()
    network.train()
    for records, classes in batches:
        optimizer.zero_grad()
        loss = functional.cross_entropy(network(records), classes)
        loss.backward()
        optimizer.step()
        if losses is not None:
            losses.append(loss.item())
    return network.stopwatch


def bare(count: int) -> Stopwatch:
    """Train on a list, keep nothing: what all others are compared with."""
    return _train((_batches[index % len(_batches)] for index in range(count)), None)


def bare_item(count: int) -> Stopwatch:
    """Train on a list and keep every loss in another."""
    return _train((_batches[index % len(_batches)] for index in range(count)), [])


def bare_loader(count: int) -> Stopwatch:
    """Train on torch's loader, keep nothing."""
    return _train(make_loader(count), None)


def bare_workers(count: int) -> Stopwatch:
    """Train on torch's loader with two workers, keep nothing."""
    return _train(make_source("torch, workers", count), None)


def bare_stream(count: int) -> Stopwatch:
    """Train on torch's loader of a dataset without an index, keep nothing."""
    return _train(make_source("stream", count), None)


def ignite(count: int) -> Stopwatch:
    """Train with ignite's Engine on torch's loader, and keep every loss by a handler."""
    from ignite.engine import Engine, Events

    network, optimizer = _network()
    network.train()
    losses: list[float] = []

    def step(_: Engine, batch: Any) -> float:
        records, classes = batch
        optimizer.zero_grad()
        loss = functional.cross_entropy(network(records), classes)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    engine = Engine(step)
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: losses.append(engine.state.output))
    engine.run(make_loader(count), max_epochs=1)
    return network.stopwatch


def skorch(count: int) -> Stopwatch:
    """Train with skorch on torch's loader; its history holds every loss."""
    from skorch import NeuralNet

    torch.manual_seed(0)
    loader = make_loader(count)
    net = NeuralNet(
        Network,
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        lr=0.01,
        max_epochs=1,
        train_split=None,
        iterator_train=lambda _, **__: loader,
        verbose=0,
    )
    net.fit(loader.dataset, y=None)
    return net.module_.stopwatch


def lightning(count: int) -> Stopwatch:
    """Train with Lightning on torch's loader; its CSV logger gets every loss."""
    from lightning import LightningModule, Trainer
    from lightning.pytorch.loggers import CSVLogger

    network, optimizer = _network()

    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:  # noqa: ARG002
            records, classes = batch
            loss = functional.cross_entropy(self.network(records), classes)
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return optimizer

    with tempfile.TemporaryDirectory() as scratch:
        quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
        log = {"logger": CSVLogger(scratch), "log_every_n_steps": 1, "default_root_dir": scratch}
        Trainer(max_epochs=1, accelerator="cpu", **log, **quiet).fit(Module(), make_loader(count))
    return network.stopwatch


def transformers(count: int) -> Stopwatch:
    """Train with the Trainer of transformers on torch's loader; its log gets every loss."""
    from transformers import Trainer, TrainingArguments

    network, optimizer = _network()

    class WithLoss(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, records: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"loss": functional.cross_entropy(self.network(records), labels)}

    class Named(torch.utils.data.Dataset[Any]):
        batches = make_loader(count).dataset

        def __len__(self) -> int:
            return count

        def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
            records, classes = self.batches[index]
            return {"records": records, "labels": classes}

    class Ready(Trainer):
        def get_train_dataloader(self) -> Any:
            return torch.utils.data.DataLoader(Named(), batch_size=None)

    with tempfile.TemporaryDirectory() as scratch:
        log = {"logging_strategy": "steps", "logging_steps": 1, "report_to": "none", "disable_tqdm": True}
        arguments = TrainingArguments(scratch, max_steps=count, use_cpu=True, save_strategy="no", max_grad_norm=0.0, **log)
        constant = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
        with contextlib.redirect_stdout(io.StringIO()):
            Ready(WithLoss(), arguments, train_dataset=Named(), optimizers=(optimizer, constant)).train()
    return network.stopwatch


def determined(count: int) -> Stopwatch:
    """Train the same trial with Determined's own Trainer, if that is installed; it reports every batch."""
    from determined import pytorch

    network, optimizer = _network()

    class Trial(pytorch.PyTorchTrial):
        def __init__(self, context: Any) -> None:
            self.context = context
            context.experimental.disable_dataset_reproducibility_checks()
            self.model = context.wrap_model(network)
            self.optimizer = context.wrap_optimizer(optimizer)

        def build_training_data_loader(self) -> Any:
            return make_loader(count)

        def build_validation_data_loader(self) -> Any:
            return make_loader(1)

        def train_batch(self, batch: Any, epoch_idx: int, batch_idx: int) -> dict[str, Any]:  # noqa: ARG002
            records, classes = batch
            loss = functional.cross_entropy(self.model(records), classes)
            self.context.backward(loss)
            self.context.step_optimizer(self.optimizer)
            return {"loss": loss}

        def evaluate_batch(self, batch: Any) -> dict[str, Any]:
            records, classes = batch
            return {"loss": functional.cross_entropy(self.model(records), classes)}

    with pytorch.init(hparams={}) as context:
        pytorch.Trainer(Trial(context), context).fit(
            max_length=pytorch.Batch(count), reporting_period=pytorch.Batch(1), checkpoint_policy="none"
        )
    return network.stopwatch


def detjupyter(count: int) -> Stopwatch:
    """Train as a session, without a kernel; the history gets every loss."""
    import detjupyter as dj

    session = dj.load(path=DEFINITION, name="bench")
    session.train(batches=count, wait=True)
    stopwatch: Stopwatch = session.trial.model.stopwatch
    session.close()
    return stopwatch


def measure(loop: str, count: int, skip: int) -> tuple[float, float]:
    """Return microseconds of wall and of CPU per batch of the loop of that name."""
    gc.collect()
    return globals()[loop](count).per_batch_us(skip)
