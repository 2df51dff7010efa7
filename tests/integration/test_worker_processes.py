"""Processes that a definition starts: data loaders' workers, forked and spawned."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detjupyter.definition.isolation.imports import DefinitionScope

DATA = """
import os
from torch.utils.data import Dataset
import vocabulary


class Words(Dataset):
    def __init__(self):
        self.vocabulary = vocabulary.Vocabulary(["a", "b"])

    def __len__(self):
        return 8

    def __getitem__(self, index):
        import late  # not imported before a worker asks for it
        return [vocabulary.VERSION, late.VERSION, len(self.vocabulary.words), os.getcwd() == os.path.dirname(__file__), os.getpid()]
"""
MODEL = """
import torch
from torch import nn
from detjupyter.pytorch import DataLoader, PyTorchTrial
from data import Words


class WordsTrial(PyTorchTrial):
    def __init__(self, context):
        self.context = context
        self.model = context.wrap_model(nn.Linear(1, 1))
        self.optimizer = context.wrap_optimizer(torch.optim.SGD(self.model.parameters(), lr=0.1))
        self.seen = []

    def build_training_data_loader(self):
        start = self.context.get_hparam("start")
        return DataLoader(Words(), batch_size=4, num_workers=2, multiprocessing_context=start)

    def build_validation_data_loader(self):
        return self.build_training_data_loader()

    def train_batch(self, batch, epoch_idx, batch_idx):
        self.seen.append([column.tolist() for column in batch])
        loss = self.model(torch.ones(1, 1)).sum()
        self.context.backward(loss)
        self.context.step_optimizer(self.optimizer)
        return {"loss": loss}

    def evaluate_batch(self, batch):
        return {"n": 1.0}
"""
FILES = {
    "model_def": MODEL,
    "data": DATA,
    "vocabulary": "VERSION = 1\nclass Vocabulary:\n    def __init__(self, words):\n        self.words = words\n",
    "late": "VERSION = 1\n",
}


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_have_the_code_that_was_loaded(define: Callable[..., Any], start: str) -> None:
    """A worker unpickles the definition's classes, imports siblings, even late ones, and works at the root; an edit does not reach it."""
    definition = define("words", **FILES)
    session = definition.load(hparams={"start": start})
    definition.edit("VERSION = 1", "VERSION = 2", "vocabulary")
    session.train(batches=1, wait=True)
    versions, late, words, at_root, pids = session.trial.seen[0]
    assert (versions, late, words, at_root) == ([1] * 4, [1] * 4, [2] * 4, [True] * 4)
    assert os.getpid() not in pids
    session.close()


def test_a_pickle_is_read_back_by_the_class_of_the_newest_load(define: Callable[..., Any], tmp_path: Path) -> None:
    """An object that one load pickled comes back after a reload, and in another process, as an object of the class that is loaded there."""
    definition = define("words", **FILES)
    first = DefinitionScope(definition.root)
    vocabulary = first.import_module("vocabulary")
    data = pickle.dumps(vocabulary.Vocabulary(["x"]))
    first.release()
    second = DefinitionScope(definition.root)
    back = pickle.loads(data)
    assert type(back) is second.import_module("vocabulary").Vocabulary
    second.release()
    third = DefinitionScope(definition.root)
    assert type(pickle.loads(data)) is third.import_module("vocabulary").Vocabulary
    (tmp_path / "data.pickle").write_bytes(data)
    code = (
        "import pickle, sys; from detjupyter.definition.isolation.imports import DefinitionScope; from pathlib import Path\n"
        f"scope = DefinitionScope(Path({str(definition.root)!r})); scope = DefinitionScope(Path({str(definition.root)!r}))\n"
        f"back = pickle.loads(Path({str(tmp_path / 'data.pickle')!r}).read_bytes())\n"
        "print(back.words, type(back) is scope.import_module('vocabulary').Vocabulary)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['x'] True\n"
    third.release()
