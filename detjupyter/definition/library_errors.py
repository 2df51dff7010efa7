"""What to do about exceptions of libraries: most are raised because a library has changed since the definition was written."""

from __future__ import annotations

import collections.abc
import re
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from detjupyter.definition.missing_modules import missing_module_hint

_Match = re.Match[str]
_Find = Callable[[_Match, BaseException], str | None]


def library_error_hint(exception: BaseException) -> str | None:
    """Return what to do about the exception; None if it is not a known one."""
    for kind, pattern, find in _KNOWN:
        match = pattern.search(str(exception)) if isinstance(exception, kind) else None
        if match is not None:
            return find(match, exception)
    return None


def _collections(match: _Match, exception: BaseException) -> str | None:
    if match[1] not in collections.abc.__all__:
        return None
    package = _package_of(exception.__traceback__)
    if package is not None:
        known = missing_module_hint(package, ()) if package == "attrdict" else None
        return known or f"The installed {package} is older than Python 3.10: install a newer version of it."
    return f"Python 3.10 removed the name: write `from collections.abc import {match[1]}`."


def _package_of(trace: TracebackType | None) -> str | None:
    """Return the installed package that raised an exception; None if another file did."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    parts = Path(trace.tb_frame.f_code.co_filename).parts if trace is not None else ()
    return parts[parts.index("site-packages") + 1].removesuffix(".py") if "site-packages" in parts[:-1] else None


def _says(sentence: str) -> _Find:
    return lambda match, _: match.expand(sentence)


_KNOWN: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], re.Pattern[str], _Find], ...] = (
    (
        TypeError,
        re.compile(r"\w*(LR|Plateau|Scheduler|Restarts)\.__init__\(\) got an unexpected keyword argument 'verbose'$"),
        _says("torch 2.7 removed the argument `verbose` of schedulers: omit it. `scheduler.get_last_lr()` returns the learning rate."),
    ),
    (
        ImportError,
        re.compile(r"cannot import name '(AdamW)' from 'transformers"),
        _says("transformers removed its AdamW: write `from torch.optim import AdamW`."),
    ),
    (
        AttributeError,
        re.compile(r"module '?transformers'? has no attribute '?(AdamW)'?"),
        _says("transformers removed its AdamW: write `torch.optim.AdamW`."),
    ),
    (ImportError, re.compile(r"cannot import name '(\w+)' from 'collections' "), _collections),
    (AttributeError, re.compile(r"module 'collections' has no attribute '(\w+)'"), _collections),
    (
        TypeError,
        re.compile(r"^np\.sum\(generator\)|^Calling np\.sum\(generator\)"),
        _says("Write `sum(…)`, which is Python's own, or pass a list to `np.sum`."),
    ),
    (
        TypeError,
        re.compile(r"^(load|load_all)\(\) missing 1 required positional argument: 'Loader'$"),
        _says(r"PyYAML 6 requires a loader: write `yaml.safe_\1(…)`."),
    ),
    (
        TypeError,
        re.compile(r"OneHotEncoder\.__init__\(\) got an unexpected keyword argument 'sparse'$"),
        _says("scikit-learn 1.4 renamed the argument `sparse` of OneHotEncoder: write `sparse_output`."),
    ),
    (
        (AssertionError, RuntimeError),
        re.compile(r"^Torch not compiled with CUDA enabled|^Found no NVIDIA driver|^No CUDA GPUs are available"),
        _says(
            "torch finds no GPU on this machine. Omit `.cuda()`: wrapped models and the batches of a DataLoader of the context are on the "
            "device of the trial; `self.context.to_device(…)` moves other tensors there."
        ),
    ),
)
