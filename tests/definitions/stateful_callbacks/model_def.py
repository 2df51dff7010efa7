"""Callbacks whose state the training depends on: a mean teacher and a curriculum."""

import torch
from callbacks import Curriculum, Teacher
from determined.pytorch import DataLoader, PyTorchTrial, PyTorchTrialContext
from torch import nn
from torch.utils.data import TensorDataset


class TeacherTrial(PyTorchTrial):
    def __init__(self, context: PyTorchTrialContext) -> None:
        self.context = context
        self.model = context.wrap_model(nn.Sequential(nn.Linear(2, 10), nn.Tanh(), nn.Linear(10, 1)))
        self.optimizer = context.wrap_optimizer(torch.optim.RMSprop(self.model.parameters(), lr=context.get_hparam("learning_rate") / 10))
        self.teacher = Teacher(self.model, context.get_hparam("decay"))
        self.curriculum = Curriculum()

    def build_callbacks(self):
        return {"teacher": self.teacher, "curriculum": self.curriculum}

    def _dataset(self, records, seed):
        inputs = torch.rand(records, 2, generator=torch.Generator().manual_seed(seed))
        return TensorDataset(inputs, (6 * inputs[:, :1]).sin() * inputs[:, 1:])

    def build_training_data_loader(self):
        batch_size = self.context.get_per_slot_batch_size()
        workers = self.context.get_hparams().get("workers", 0)
        return DataLoader(self._dataset(96, 1), batch_size=batch_size, shuffle=self.context.get_hparam("shuffle"), num_workers=workers)

    def build_validation_data_loader(self):
        return DataLoader(self._dataset(24, 2), batch_size=self.context.get_per_slot_batch_size())

    def train_batch(self, batch, epoch_idx, batch_idx):
        inputs, targets = batch
        noisy = inputs + self.curriculum.noise * torch.randn_like(inputs)
        outputs = self.model(noisy)
        loss = nn.functional.mse_loss(outputs, targets) + 0.5 * nn.functional.mse_loss(outputs, self.teacher.model(inputs))
        self.context.backward(loss)
        self.context.step_optimizer(self.optimizer)
        self.teacher.follow(self.model)
        return {"loss": loss, "updates": self.teacher.updates}

    def evaluate_batch(self, batch):
        inputs, targets = batch
        return {"error": nn.functional.mse_loss(self.teacher.model(inputs), targets)}
