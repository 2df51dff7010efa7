"""What to do about a module that a definition imports and that was not found.

The advice is never to install a package by a guess: a package of the import's name may be a stranger's. The command is given only for names
whose distribution is known.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from detjupyter.definition.isolation.names import COMPAT, DETERMINED, public_text
from detjupyter.definition.released_names import similar_name
from detjupyter.definition.startup_hook import NAME as HOOK_NAME
from detjupyter.definition.startup_hook import find_hook, was_run
from detjupyter.next_step import NextStep

# Distributions with another name than the package that they contain.
_RENAMED = {
    "Bio": "biopython",
    "Crypto": "pycryptodome",
    "Levenshtein": "levenshtein",
    "OpenSSL": "pyopenssl",
    "PIL": "pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "efficientnet_pytorch": "efficientnet-pytorch",
    "faiss": "faiss-cpu",
    "fitz": "pymupdf",
    "git": "gitpython",
    "hydra": "hydra-core",
    "ignite": "pytorch-ignite",
    "imblearn": "imbalanced-learn",
    "jwt": "pyjwt",
    "mpl_toolkits": "matplotlib",
    "pytorch_lightning": "pytorch-lightning",
    "segmentation_models_pytorch": "segmentation-models-pytorch",
    "sentence_transformers": "sentence-transformers",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "tensorflow_datasets": "tensorflow-datasets",
    "torch_geometric": "torch-geometric",
    "umap": "umap-learn",
    "yaml": "pyyaml",
    "zmq": "pyzmq",
}
_SAME_NAME = frozenset(
    (
        *("accelerate", "albumentations", "boto3", "datasets", "deepspeed", "einops", "evaluate", "gym", "gymnasium", "h5py", "imageio"),
        *("joblib", "jsonlines", "keras", "librosa", "lightning", "lmdb", "matplotlib", "medmnist", "monai", "networkx", "nibabel", "nltk"),
        *("numba", "numpy", "omegaconf", "onnx", "pandas", "peft", "psutil", "pyarrow", "pycocotools", "pydicom", "requests", "sacrebleu"),
        *("safetensors", "scipy", "seaborn", "sentencepiece", "shapely", "soundfile", "spacy", "tensorboard", "tensorboardX", "tensorflow"),
        *("timm", "tokenizers", "torch", "torchaudio", "torchmetrics", "torchtext", "torchvision", "tqdm", "transformers", "wandb"),
        *("xgboost", "yacs", "zarr"),
    )
)

# Names for which a package of the same name does not help.
_SENTENCES = {
    "apex": "NVIDIA's apex is built from its source; the package that `pip` knows as apex is another one. "
    "`context.configure_apex_amp()` and torch.amp work without it.",
    "attrdict": f"attrdict does not work on Python 3.10 and later, attrdict3 does and has the same import name: "
    f"{NextStep.INSTALL('attrdict3')}, then load again.",
    "clip": "OpenAI's CLIP is installed from its source; the package that `pip` knows as clip is another one.",
    "detectron2": "detectron2 is built from its source, for the installed version of torch.",
    "google": "Many distributions share the package google: look up which of them contains the module that is imported.",
    "pedl": "pedl is what Determined was called until 2020, and is not supported: import the names from determined.",
    "pkg_resources": f"pkg_resources was a part of setuptools before version 82: {NextStep.INSTALL(chr(39) + 'setuptools<81' + chr(39))}, "
    "then load again.",
}

_DEEPEST = 4  # levels below the root
_MOST_DIRECTORIES = 2_000


def missing_module_hint(name: str, roots: Sequence[Path]) -> str | None:
    """Return what to do about a module that was not found; None if nothing helpful is known.

    Args:
        name: The name in Python's error.
        roots: The directories, or single files, of the definition.
    """
    public = public_text(name)
    if name.startswith(f"{COMPAT}."):
        return missing_name_hint(*public.rsplit(".", 1))
    if public != name:
        return f"There is no {public.replace('.', '/')}.py in {', '.join(map(str, roots))}."
    top = name.partition(".")[0]
    if top in _SENTENCES:
        return _SENTENCES[top]
    if "." in name or top in DETERMINED:
        return None
    beside = next((root for root in roots if root.is_file() and _is_module(root.parent, name)), None)
    if beside is not None:
        directory = NextStep.LOAD_DIRECTORY(beside.parent)
        return f"{name} is next to {beside.name}, but a definition of one file contains no other: load the directory, {directory}."
    inside = next(_places(name, roots), None)
    if inside is not None:
        return f"The definition contains {inside}, but not at its root: move it there, or import it by its whole name."
    hooks = [hook for root in roots if (hook := find_hook(root)) is not None]
    if any(not was_run(hook) for hook in hooks):
        return f"{HOOK_NAME} may provide {name}. It was not run: to run it first, load with {NextStep.STARTUP_HOOK}."
    distribution = _RENAMED.get(name, name if name in _SAME_NAME else None)
    if distribution is not None:
        return f"{NextStep.INSTALL(distribution)}, then load again."
    return (
        f"{name} is not in the definition, and not installed{f'; {HOOK_NAME} did not provide it' if hooks else ''}. "
        "If it is a package, look up which distribution contains it: another distribution may have that name."
    )


def missing_name_hint(module: str, name: str) -> str:
    """Return what to do about a name that neither detjupyter nor a release of Determined has in ``module``."""
    similar = similar_name(module, name, dir(sys.modules.get(f"{COMPAT}.{module}")))
    return f"Did you mean `{module}.{similar}`?" if similar else f"No release of Determined has {module}.{name}."


def _is_module(directory: Path, name: str) -> bool:
    return (directory / f"{name}.py").is_file() or (directory / name).is_dir()


def _places(name: str, roots: Sequence[Path]) -> Iterator[str]:
    """Yield where the definition contains a module or a directory of modules with this name, relative to the root (POSIX)."""
    for root in roots:
        for count, (place, directories, files) in enumerate(os.walk(root)):
            relative = Path(place).relative_to(root)
            if count == _MOST_DIRECTORIES:
                break
            if f"{name}.py" in files:
                yield (relative / f"{name}.py").as_posix()
            if relative.name == name and any(file.endswith(".py") for file in files):
                yield f"{relative.as_posix()}/"
            directories[:] = sorted(one for one in directories if not one.startswith(".") and one not in ("__pycache__", "site-packages"))
            if "pyvenv.cfg" in files or len(relative.parts) == _DEEPEST:
                directories.clear()
