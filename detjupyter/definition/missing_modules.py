"""What to do about a module that a definition imports and that is not there.

The advice is never to install a package by a guess: a name on the package index that nobody checked may belong to a stranger. The command is
given only for names whose distribution is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from detjupyter.definition.isolation.names import DETERMINED, public_text
from detjupyter.definition.startup_hook import find_hook
from detjupyter.next_step import NextStep

# The distributions of packages that definitions import, by the name of the import where it differs.
_DISTRIBUTIONS = {
    "Crypto": "pycryptodome",
    "PIL": "pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "fitz": "pymupdf",
    "git": "gitpython",
    "mpl_toolkits": "matplotlib",
    "pkg_resources": "setuptools",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "umap": "umap-learn",
    "yaml": "pyyaml",
    **{
        name: name
        for name in (
            *("accelerate", "albumentations", "boto3", "datasets", "deepspeed", "einops", "evaluate", "gym", "gymnasium", "h5py", "imageio"),
            *("joblib", "jsonlines", "keras", "librosa", "lightning", "lmdb", "matplotlib", "medmnist", "monai", "networkx", "nibabel", "nltk"),
            *("numba", "numpy", "omegaconf", "onnx", "pandas", "peft", "psutil", "pyarrow", "pycocotools", "pydicom", "pytorch_lightning"),
            *("requests", "sacrebleu", "safetensors", "scipy", "seaborn", "sentencepiece", "shapely", "soundfile", "spacy", "tensorboard"),
            *("tensorboardX", "tensorflow", "tensorflow_datasets", "timm", "tokenizers", "torch_geometric", "torchaudio", "torchmetrics"),
            *("torchtext", "torchvision", "tqdm", "transformers", "wandb", "xgboost", "yacs", "zarr"),
        )
    },
}

# Names with a sentence of their own: their package of that name is no help.
_SENTENCES = {
    "apex": "apex is NVIDIA's and is built from its source; the package called apex on the index is another one. "
    "`context.configure_apex_amp()` and torch.amp work without it.",
    "attrdict": "attrdict does not work on Python 3.10 and later; attrdict3 does, under the same import name: `{}`, then load again.",
    "pedl": "pedl is what Determined was called until 2020. detjupyter does not answer its names: import them from determined.",
}

_UNSUPPORTED = re.compile(rb"^class\s+(\w+)\s*\([^)]*\b(DeepSpeedTrial|TFKerasTrial|EstimatorTrial)\b", re.MULTILINE)
_READ_FILES, _READ_BYTES = 200, 1 << 20


def missing_module_hint(name: str, roots: Sequence[Path], files: Iterable[Path] = ()) -> str | None:
    """Return what to do about a module that was not found; None if nothing helpful is known.

    Args:
        name: The name in Python's error.
        roots: The directories, or single files, of the definition.
        files: The files of the definition that were being imported.
    """
    public = public_text(name)
    if public != name:
        return f"There is no {public.replace('.', '/')}.py in {', '.join(map(str, roots))}."
    top = name.partition(".")[0]
    unsupported = next(_unsupported_trials((*files, *_top_level_files(roots))), None)
    if unsupported is not None:
        trial, base = unsupported
        return f"{trial} derives from {base}, which detjupyter does not train: it trains PyTorch trials so far. Installing {top} does not help."
    if top in _SENTENCES:
        return _SENTENCES[top].format(NextStep.INSTALL("attrdict3"))
    if "." in name or top in DETERMINED:
        return None
    inside = next(_places(name, roots), None)
    if inside is not None:
        return f"{inside} is in the definition, but not at its root: move it there, or import it by its whole name."
    if any(find_hook(root) for root in roots):
        return f"startup-hook.sh may provide {name}, and runs only on request: load with {NextStep.STARTUP_HOOK()}."
    if name in _DISTRIBUTIONS:
        return f"{NextStep.INSTALL(_DISTRIBUTIONS[name])}, then load again."
    return (
        f"{name} is neither in the definition nor installed. If it is a package, look up what it is called where packages are installed from: "
        "that is not always the name of the import, and another package may have that name."
    )


def _unsupported_trials(files: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """Yield the classes of a framework that detjupyter does not train, with the name of their base."""
    for file in files:
        try:
            with file.open("rb") as stream:
                source = stream.read(_READ_BYTES)
        except OSError:
            continue
        for match in _UNSUPPORTED.finditer(source):
            yield match[1].decode(), match[2].decode()


def _top_level_files(roots: Sequence[Path]) -> Iterator[Path]:
    for root in roots:
        yield from [root] if root.is_file() else sorted(islice(root.glob("*.py"), _READ_FILES))


def _places(name: str, roots: Sequence[Path]) -> Iterator[Path]:
    """Yield where a definition has a module or directory of that name one level below its root, relative to the root."""
    for root in roots:
        for candidate in (*root.glob(f"*/{name}.py"), *root.glob(f"*/{name}/")) if root.is_dir() else ():
            yield candidate.relative_to(root)
