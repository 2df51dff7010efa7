"""detjupyter: deep-learning model definitions, live inside a notebook.

```python
import detjupyter as dj

session = dj.load("model_def:MNistTrial", path=".", hparams={"lr": 0.1})
session.train(epochs=5)
batches, loss = session.metrics("loss")
```

Names are imported when they are first used: ``import detjupyter`` and ``%load_ext detjupyter`` load neither torch nor the store.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detjupyter.definition.entrypoint import Entrypoint
    from detjupyter.definition.model_definition import ModelDefinition
    from detjupyter.errors import DetJupyterError
    from detjupyter.protocol.lengths import Batch, Epoch
    from detjupyter.scripts.running import run_script
    from detjupyter.session.loading import current_session, load, sessions
    from detjupyter.session.saved_trial import load_checkpoint
    from detjupyter.session.session import Session
    from detjupyter.store.comparison import compare
    from detjupyter.store.history import Run, run, runs, runs_frame
    from detjupyter.store.import_runs import import_runs

_HOMES = {
    "Batch": "detjupyter.protocol.lengths",
    "DetJupyterError": "detjupyter.errors",
    "Entrypoint": "detjupyter.definition.entrypoint",
    "Epoch": "detjupyter.protocol.lengths",
    "ModelDefinition": "detjupyter.definition.model_definition",
    "Run": "detjupyter.store.history",
    "Session": "detjupyter.session.session",
    "compare": "detjupyter.store.comparison",
    "current_session": "detjupyter.session.loading",
    "import_runs": "detjupyter.store.import_runs",
    "load": "detjupyter.session.loading",
    "load_checkpoint": "detjupyter.session.saved_trial",
    "run": "detjupyter.store.history",
    "run_script": "detjupyter.scripts.running",
    "runs": "detjupyter.store.history",
    "runs_frame": "detjupyter.store.history",
    "sessions": "detjupyter.session.loading",
}

__all__ = [
    "Batch",
    "DetJupyterError",
    "Entrypoint",
    "Epoch",
    "ModelDefinition",
    "Run",
    "Session",
    "compare",
    "current_session",
    "import_runs",
    "load",
    "load_checkpoint",
    "run",
    "run_script",
    "runs",
    "runs_frame",
    "sessions",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("detjupyter")
        except PackageNotFoundError:  # a checkout that is on the path but not installed; Jupyter asks, and works without
            raise AttributeError("detjupyter is not installed, so it has no version.") from None
    if name not in _HOMES:
        raise AttributeError(f"module 'detjupyter' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


def load_ipython_extension(ipython: Any) -> None:
    """Register the magics and the kernel's control channel: ``%load_ext detjupyter``."""
    from detjupyter.magics import load_extension

    load_extension(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """Remove the magics: ``%unload_ext detjupyter``. Sessions continue."""
    from detjupyter.magics import unload_extension

    unload_extension(ipython)


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "detjupyter"}]


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "detjupyter"}]


def _load_jupyter_server_extension(server_app: Any) -> None:
    from detjupyter.server.extension import load_extension

    load_extension(server_app)
