"""The network: two convolutions, one pooling, two linear layers, with dropout between."""

import torch
from torch import nn


class DigitsNet(nn.Module):
    """Scores for the ten digits: images (B, 1, 8, 8) to (B, 10)."""

    def __init__(self, channels: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),  # (B, C, 8, 8)
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, 2 * channels, 3, padding=1),  # (B, 2C, 8, 8)
            nn.BatchNorm2d(2 * channels),
            nn.ReLU(),
            nn.MaxPool2d(2),  # (B, 2C, 4, 4)
            nn.Dropout2d(dropout),
            nn.Flatten(),
        )
        self.classifier = nn.Sequential(
            nn.Linear(2 * channels * 4 * 4, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, 10),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(images))
