"""Two callbacks in one trial that record their calls."""

from __future__ import annotations

from typing import Any

from support.definition import Definition

NOTES = """
from detjupyter.pytorch import PyTorchCallback


class Events(list):
    '''Of an own class, so that a checkpoint does not contain what the trial noted before.'''


events = Events()


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


def noting(line: Definition) -> Definition:
    """Give the line two callbacks that record their calls, and two batches per epoch."""
    line.write(notes=NOTES)
    line.edit("import torch\n", "import torch\nimport notes\n")
    line.edit("batch_size=4", "batch_size=20")
    line.edit("    def build_training_data_loader(self):\n", TWO_CALLBACKS)
    return line


def calls_of(session: Any, name: str) -> list[str]:
    """Return the calls of one callback, or of the trial."""
    return [moment for who, moment in session.trial.events if who == name]
