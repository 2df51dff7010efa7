"""The package ``determined`` as a model definition sees it."""

from __future__ import annotations

from detjupyter.compat.unavailable import OfferedNames
from detjupyter.definition.trial import InvalidHP, Trial

LegacyTrial = Trial
LOG_FORMAT = "%(levelname)s: [%(process)s] %(name)s: %(message)s"
#: The last version of Determined, whose interface is offered; names of earlier versions are in addition.
__version__ = "0.38.1"
__all__ = ["LOG_FORMAT", "InvalidHP", "LegacyTrial", "Trial"]

# nothing of a framework is imported before it is used: `import determined as det`, then `det.pytorch`, `det.TrialContext`
_names = OfferedNames(
    __name__,
    modules=("common", "core", "errors", "experimental", "pytorch", "tensorboard", "transformers"),
    homes={
        "Categorical": ".hyperparameters",
        "ClusterInfo": ".cluster",
        "Constant": ".hyperparameters",
        "Double": ".hyperparameters",
        "ExperimentConfig": ".experiment_config",
        "Integer": ".hyperparameters",
        "Log": ".hyperparameters",
        "NativeContext": ".pytorch",
        "TrialContext": ".pytorch",
        "TrialInfo": ".cluster",
        "get_cluster_info": ".cluster",
        "import_from_path": ".importing",
    },
)
__getattr__, __dir__ = _names.get, _names.list
