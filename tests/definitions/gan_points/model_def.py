"""A generative adversarial network: two models, two optimizers, one scheduler, two steps in one batch."""

from collections import OrderedDict
from typing import Any, Dict, Union

import data
import torch
import torch.nn.functional as F  # noqa: N812
from determined.pytorch import DataLoader, LRScheduler, PyTorchTrial, PyTorchTrialContext
from networks import Discriminator, Generator


class GANTrial(PyTorchTrial):
    def __init__(self, context: PyTorchTrialContext) -> None:
        self.context = context
        self.generator = self.context.wrap_model(Generator(latent_dim=self.context.get_hparam("latent_dim")))
        self.discriminator = self.context.wrap_model(Discriminator())
        lr, b1, b2 = (self.context.get_hparam(name) for name in ("lr", "b1", "b2"))
        self.opt_g = self.context.wrap_optimizer(torch.optim.Adam(self.generator.parameters(), lr=lr, betas=(b1, b2)))
        self.opt_d = self.context.wrap_optimizer(torch.optim.Adam(self.discriminator.parameters(), lr=lr, betas=(b1, b2)))
        self.lr_g = self.context.wrap_lr_scheduler(
            lr_scheduler=torch.optim.lr_scheduler.LambdaLR(self.opt_g, lr_lambda=lambda epoch: 0.95**epoch),
            step_mode=LRScheduler.StepMode.STEP_EVERY_EPOCH,
        )

    def build_training_data_loader(self) -> DataLoader:
        return DataLoader(
            data.load_points(200, seed=1),
            batch_size=self.context.get_per_slot_batch_size(),
            shuffle=self.context.get_hparam("shuffle"),
            drop_last=True,
            num_workers=self.context.get_hparams().get("workers", 0),
        )

    def build_validation_data_loader(self) -> DataLoader:
        return DataLoader(data.load_points(64, seed=2), batch_size=self.context.get_per_slot_batch_size())

    def train_batch(self, batch: Any, epoch_idx: int, batch_idx: int) -> Union[torch.Tensor, Dict[str, Any]]:
        points, _ = batch

        # Train the generator: the discriminator's weights are only passed through.
        self.generator.requires_grad_(True)
        self.discriminator.requires_grad_(False)
        z = torch.randn(points.shape[0], self.context.get_hparam("latent_dim"))
        z = self.context.to_device(z)
        generated = self.generator(z)
        valid = self.context.to_device(torch.ones(points.size(0), 1))
        g_loss = F.binary_cross_entropy(self.discriminator(generated), valid)
        self.context.backward(g_loss)
        self.context.step_optimizer(self.opt_g)

        # Train the discriminator, on what the generator made before its step.
        self.generator.requires_grad_(False)
        self.discriminator.requires_grad_(True)
        real_loss = F.binary_cross_entropy(self.discriminator(points), valid)
        fake = self.context.to_device(torch.zeros(points.size(0), 1))
        fake_loss = F.binary_cross_entropy(self.discriminator(generated.detach()), fake)
        d_loss = (real_loss + fake_loss) / 2
        self.context.backward(d_loss)
        self.context.step_optimizer(self.opt_d)
        return OrderedDict(loss=d_loss, g_loss=g_loss, d_loss=d_loss)

    def evaluate_batch(self, batch: Any) -> Dict[str, Any]:
        points, _ = batch
        valid = torch.ones(points.size(0), 1)
        return {"loss": F.binary_cross_entropy(self.discriminator(points), self.context.to_device(valid))}
