"""A trial that prints, displays and asks in every way; the hyperparameter `what` names the way."""

import logging
import os
import subprocess
import sys
import threading
from sys import stdout as saved

import torch
from torch import nn
from torch.utils.data import TensorDataset

from detjupyter.pytorch import DataLoader, PyTorchTrial, PyTorchTrialContext

logger = logging.getLogger("loud")


def in_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


class Table:
    def __repr__(self):
        return "  a  b\n0 1  2"


def display_objects():
    from IPython.display import HTML, clear_output, display

    for _ in range(3):
        clear_output(wait=True)
        display(HTML("<b>bold</b>"))
        display(Table())
        handle = display({"text/plain": "a handle"}, raw=True, display_id=True)
        handle.update({"text/plain": "updated"}, raw=True)


def show_figure():
    import matplotlib.pyplot as plt

    plt.figure()
    plt.plot([1, 2])
    plt.show()


def leave_figure_open():
    import matplotlib.pyplot as plt

    plt.figure(7)


def make_widgets():
    import ipywidgets
    from IPython.display import display

    display(ipywidgets.IntProgress(value=3))
    with ipywidgets.Output():
        print("inside a widget")


def show_bar():
    from IPython.display import display

    class Bar:  # what `tqdm.notebook` displays: a widget that shows itself as text, too
        def __repr__(self):
            return " 40%|####      | 4/10"

    display(Bar())


def show_real_bar():
    from tqdm.auto import tqdm

    for _ in tqdm(range(3), desc="bar"):
        pass


def embed():
    import IPython

    IPython.embed()


def set_trace():
    import pdb

    pdb.set_trace()


def ask_for_password():
    import getpass

    getpass.getpass()


def print_from_c():
    import ctypes

    libc = ctypes.CDLL(None)
    libc.puts(b"from C")
    libc.fflush(None)


WAYS = {
    "print": lambda: print("hello"),
    "saved": lambda: print("hello", file=saved),
    "dunder": lambda: print("hello", file=sys.__stdout__, flush=True),
    "logger": lambda: logger.warning("hello"),
    "thread": lambda: in_thread(lambda: print("hello")),
    "traceback": lambda: in_thread(lambda: {}["hello"]),
    "program": lambda: subprocess.run(["echo", "hello"], check=True),
    "system": lambda: os.system("echo hello"),
    "descriptor": lambda: os.write(1, b"hello\n"),
    "close": lambda: (sys.stdout.close(), print("hello")),
    "display": display_objects,
    "figure": show_figure,
    "open figure": leave_figure_open,
    "widgets": make_widgets,
    "bar": show_bar,
    "real bar": show_real_bar,
    "c": print_from_c,
    "breakpoint": lambda: breakpoint(),
    "set_trace": set_trace,
    "input": lambda: input("Go? "),
    "getpass": ask_for_password,
    "embed": embed,
}


class Chatty(TensorDataset):
    def __getitem__(self, index):
        print("item")
        return super().__getitem__(index)


class LoudTrial(PyTorchTrial):
    def __init__(self, context: PyTorchTrialContext) -> None:
        self.context = context
        self.model = context.wrap_model(nn.Linear(4, 1))
        self.optimizer = context.wrap_optimizer(torch.optim.SGD(self.model.parameters(), lr=0.01))
        self.gate = threading.Event()
        self.gate.set()
        self.what = context.get_hparam("what")

    def build_training_data_loader(self) -> DataLoader:
        if self.what == "workers":
            return DataLoader(Chatty(torch.randn(8, 4)), batch_size=4, num_workers=2)
        return DataLoader(TensorDataset(torch.randn(8, 4)), batch_size=4)

    def build_validation_data_loader(self) -> DataLoader:
        return DataLoader(TensorDataset(torch.randn(8, 4)), batch_size=4)

    def train_batch(self, batch, epoch_idx: int, batch_idx: int):
        assert self.gate.wait(60)
        WAYS.get(self.what, lambda: None)()
        loss = self.model(batch[0]).square().mean()
        self.context.backward(loss)
        self.context.step_optimizer(self.optimizer)
        return {"loss": loss}

    def evaluate_batch(self, batch):
        return {"loss": self.model(batch[0]).square().mean()}
