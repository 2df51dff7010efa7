"""Points in the plane, each on one of three rings around the origin."""

import math

import torch
from torch.utils.data import TensorDataset

RINGS = 3


def make_rings(records, seed):
    """Return (points, rings): (N, 1, 2) float and (N,) long."""
    generator = torch.Generator().manual_seed(seed)
    rings = torch.arange(records) % RINGS
    radius = rings + 0.8 + 0.4 * torch.rand(records, generator=generator)
    angle = 2 * math.pi * torch.rand(records, generator=generator)
    points = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)
    return points.unsqueeze(1), rings


def get_dataset(data_config, train):
    records = data_config["records"] if train else data_config["records"] // 4
    return TensorDataset(*make_rings(records, data_config["seed"] + (0 if train else 1)))
