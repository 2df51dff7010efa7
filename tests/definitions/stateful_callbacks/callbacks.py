import copy

import torch
from determined.pytorch import PyTorchCallback


class Teacher(PyTorchCallback):
    """A second set of weights that follows the model's slowly; the model is drawn to what it says."""

    def __init__(self, model, decay):
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.decay = decay
        self.updates = 0

    def follow(self, model):
        self.updates += 1
        with torch.no_grad():
            for mine, theirs in zip(self.model.parameters(), model.parameters()):
                mine.lerp_(theirs, 1 - self.decay)

    def state_dict(self):
        return {"weights": self.model.state_dict(), "updates": self.updates}

    def load_state_dict(self, state_dict):
        self.model.load_state_dict(state_dict["weights"])
        self.updates = state_dict["updates"]


class Curriculum(PyTorchCallback):
    """Noise on the inputs, more of it after every epoch."""

    def __init__(self):
        self.noise = 0.0
        self.history = []

    def on_training_epoch_end(self, epoch_idx):
        self.noise += 0.1
        self.history.append(epoch_idx)

    def state_dict(self):
        return {"noise": self.noise, "history": list(self.history)}

    def load_state_dict(self, state_dict):
        self.noise = state_dict["noise"]
        self.history = state_dict["history"]
