import torch
from torch.utils.data import TensorDataset


def load_points(records: int, seed: int) -> TensorDataset:
    """Return points on half a circle, with a little noise, and an unused label."""
    generator = torch.Generator().manual_seed(seed)
    angle = torch.rand(records, generator=generator) * 3.14159
    points = torch.stack([angle.cos(), angle.sin()], dim=1) + 0.05 * torch.randn(records, 2, generator=generator)
    return TensorDataset(points, torch.zeros(records))
