"""Linear models in numpy; what a model definition imports."""

from numpy_linear.context import LinearTrialContext
from numpy_linear.trial import LinearTrial

__all__ = ["LinearTrial", "LinearTrialContext"]
