"""The loops that are compared, run inside the kernel: the same network, data and optimizer, trained by different hands."""

from __future__ import annotations

import gc
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

DEFINITION = Path(__file__).parent / "definitions" / os.environ["DETJUPYTER_BENCH_MODEL"]
sys.path.append(str(DEFINITION))

from data import make_batches, make_loader  # noqa: E402  they are the definition's own
from network import Network  # noqa: E402
from stopwatch import Stopwatch  # noqa: E402

PEERS = tuple(name for name in ("ignite", "skorch") if find_spec(name) is not None)

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


def measure(loop: str, count: int, skip: int) -> tuple[float, float]:
    """Return microseconds of wall and of CPU per batch of the loop of that name."""
    gc.collect()
    return globals()[loop](count).per_batch_us(skip)
