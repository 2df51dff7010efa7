"""The context of a PyTorch trial: the models and optimizers that it trains, and its hyperparameters and configuration."""

from detjupyter.pytorch.context.context import PyTorchTrialContext

__all__ = ["PyTorchTrialContext"]
