"""A module that is not found: what the error advises, and which advice it never gives."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from detjupyter.definition import ModelDefinition
from detjupyter.definition.missing_modules import missing_module_hint
from detjupyter.definition.startup_hook import run_hook
from detjupyter.errors import DetJupyterError, TrialError, UnsupportedError
from detjupyter.next_step import Wording, worded

DEEPSPEED = "determined.pytorch.deepspeed.DeepSpeedTrial"
ESTIMATOR = "determined.estimator.EstimatorTrial"
LIGHTNING = "determined.pytorch.lightning.LightningAdapter"
KERAS = "determined.keras.TFKerasTrial"
PYTORCH = "from detjupyter.definition.trial import Trial\nclass MyTrial(Trial):\n    framework = 'toy'\n"


def definition(root: Path, files: Mapping[str, str]) -> ModelDefinition:
    """Write files and return the definition they make."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return ModelDefinition(root)


def hint(md: ModelDefinition, kind: type[DetJupyterError] = TrialError, entrypoint: str | None = "model_def:MyTrial") -> str:
    """Load, expect it to fail, and return the next step."""
    with pytest.raises(kind) as caught:
        md.load(entrypoint)
    return caught.value.hint or ""


class TestPackagesToInstall:
    """The command is given only for names whose distribution is known."""

    def test_a_known_package_is_installed_by_the_name_of_its_distribution(self) -> None:
        """The name of the import is often another one."""
        known = {"sklearn": "scikit-learn", "yaml": "pyyaml", "Crypto": "pycryptodome", "fitz": "pymupdf", "transformers": "transformers"}
        for name, distribution in known.items():
            assert missing_module_hint(name, ()) == f"`pip install {distribution}`, then load again."
        assert worded(missing_module_hint("cv2", ()) or "", Wording.MAGICS) == "`%pip install opencv-python`, then load again."

    def test_an_unknown_name_is_not_installed_by_a_guess(self, tmp_path: Path) -> None:
        """A package of that name may be a stranger's."""
        text = hint(definition(tmp_path, {"model_def.py": "import not_there_at_all\n"}))
        assert "pip install" not in text
        assert text.startswith("not_there_at_all is not in the definition, and not installed.")

    def test_names_whose_package_does_not_help_have_a_sentence(self) -> None:
        """What was renamed, what is built from its source, what many distributions share."""
        assert "until 2020" in (missing_module_hint("pedl", ()) or "")
        assert "until 2020" in (missing_module_hint("pedl.frameworks", ()) or "")
        assert "`pip install attrdict3`, then load again." in (missing_module_hint("attrdict", ()) or "")
        assert "`%pip install 'setuptools<81'`" in worded(missing_module_hint("pkg_resources", ()) or "", Wording.MAGICS)
        for name in ("apex", "clip", "detectron2", "google", "pedl"):
            assert "pip install" not in (missing_module_hint(name, ()) or "")
        for name in ("apex", "attrdict", "pkg_resources"):
            assert "``" not in (missing_module_hint(name, ()) or "")


class TestModulesOfTheDefinition:
    """A name that is a file or a directory of the definition is nothing to install."""

    @pytest.mark.parametrize("file", ["src/sklearn.py", "src/deep/sklearn/__init__.py", "src/sklearn/nets.py"])
    def test_a_module_below_the_root_is_named(self, tmp_path: Path, file: str) -> None:
        """Even if a package of that name is known."""
        assert hint(definition(tmp_path, {"model_def.py": "import lib_of_ours\n", "src/lib_of_ours.py": ""})).startswith(
            "The definition contains src/lib_of_ours.py, but not at its root"
        )
        definition(tmp_path, {file: ""})
        text = missing_module_hint("sklearn", [tmp_path]) or ""
        assert file.partition("sklearn")[0] + "sklearn" in text
        assert "pip install" not in text

    def test_a_file_next_to_a_single_file_is_not_a_part_of_it(self, tmp_path: Path) -> None:
        """The directory is the definition that has both."""
        definition(tmp_path, {"tiny.py": "import sklearn_of_ours", "sklearn_of_ours.py": ""})
        text = hint(ModelDefinition(tmp_path / "tiny.py"), entrypoint=":MyTrial")
        assert text.startswith("sklearn_of_ours is next to tiny.py")
        assert f'`dj.load(path="{tmp_path}")`' in text

    def test_environments_inside_the_root_are_not_the_definition(self, tmp_path: Path) -> None:
        """Nor are hidden directories."""
        files = {".venv/lib/site-packages/sklearn/__init__.py": "", "env/pyvenv.cfg": "", "env/lib/sklearn.py": "", ".x/sklearn.py": ""}
        definition(tmp_path, files)
        assert missing_module_hint("sklearn", [tmp_path]) == "`pip install scikit-learn`, then load again."

    def test_a_directory_without_python_files_is_imported_as_by_python(self, tmp_path: Path) -> None:
        """It is a namespace package, where no installed module has its name."""
        md = definition(tmp_path, {"data/readme.txt": "", "numpy/x.txt": "", "model_def.py": "import data, numpy\nnumpy.zeros\n" + PYTORCH})
        loaded = md.load("model_def:MyTrial")
        module = sys.modules[loaded.trial_class.__module__]
        assert list(module.data.__path__) == [str(tmp_path / "data")]

    def test_what_such_a_directory_lacks_is_nothing_to_install(self, tmp_path: Path) -> None:
        """For example the directory of a git submodule that was not checked out."""
        (tmp_path / "detr").mkdir()
        text = hint(definition(tmp_path, {"model_def.py": "import detr.util\n"}))
        assert text == f"There is no detr/util.py in {tmp_path}."


class TestStartupHooks:
    """A hook that was not run may provide the module."""

    @pytest.mark.parametrize("name", ["detr", "sklearn_of_the_hook", "wandb_of_the_hook.sdk"])
    def test_it_is_named_first(self, tmp_path: Path, name: str) -> None:
        """Instead of a package."""
        text = hint(definition(tmp_path, {"startup-hook.sh": "true", "model_def.py": f"import {name}\n"}))
        assert "startup_hook=True" in text
        assert "pip install" not in text

    def test_it_is_named_for_known_packages_too(self, tmp_path: Path) -> None:
        """The hook may install another version."""
        definition(tmp_path, {"startup-hook.sh": "true"})
        assert "`--startup-hook`" in worded(missing_module_hint("sklearn", [tmp_path]) or "", Wording.MAGICS)

    def test_a_hook_that_was_run_is_not_advised_again(self, tmp_path: Path) -> None:
        """It did not provide the module."""
        md = definition(tmp_path, {"startup-hook.sh": "true", "model_def.py": "import not_there_at_all\n"})
        assert md.startup_hook is not None
        run_hook(md.startup_hook)
        text = hint(md)
        assert "startup_hook=True" not in text
        assert "startup-hook.sh did not provide it" in text

    def test_a_single_file_has_no_hook(self, tmp_path: Path) -> None:
        """The hook of the directory around it does not run with it."""
        definition(tmp_path, {"startup-hook.sh": "true", "tiny.py": "import not_there_at_all\n"})
        assert "startup" not in hint(ModelDefinition(tmp_path / "tiny.py"), entrypoint=":MyTrial")


class TestUnsupportedFrameworks:
    """No message tells the user to install a library for a trial that cannot be trained."""

    @pytest.mark.parametrize(
        ("base", "model_def", "others"),
        [
            (DEEPSPEED, "import x1\nfrom determined.pytorch.deepspeed import DeepSpeedTrial as D\nclass MyTrial(D): ...", {}),
            (LIGHTNING, "import x1\nfrom determined.pytorch.lightning import LightningAdapter\nclass MyTrial(LightningAdapter): ...", {}),
            (KERAS, "import x1\nimport determined.keras as dk\nclass MyTrial(dk.TFKerasTrial): ...", {}),
            (KERAS, "import determined as det\nimport x1\nclass MyTrial(det.keras.TFKerasTrial): ...", {}),
            (KERAS, "import x1\nfrom determined.keras import *\nclass MyTrial(TFKerasTrial): ...", {}),
            (KERAS, "import x1\nfrom determined.keras import TFKerasTrial\nKeras = TFKerasTrial\nclass MyTrial(Keras): ...", {}),
            (
                ESTIMATOR,
                "from base import Base\nclass MyTrial(Base): ...",
                {
                    "base.py": "import x1\nfrom mid import Mid as Base",
                    "mid.py": "from determined.estimator import EstimatorTrial\nclass Root(EstimatorTrial): ...\nclass Mid(Root): ...",
                },
            ),
        ],
        ids=["from", "adapter", "alias of the module", "attribute", "star", "alias of the class", "other modules"],
    )
    def test_they_are_refused_before_their_libraries_are_asked_for(
        self, tmp_path: Path, base: str, model_def: str, others: dict[str, str]
    ) -> None:
        """However the class names its base."""
        with pytest.raises(UnsupportedError) as caught:
            definition(tmp_path, {"model_def.py": model_def, **others}).load("model_def:MyTrial")
        assert caught.value.message == f"model_def:MyTrial derives from {base}, which detjupyter does not offer."
        assert "pip install" not in str(caught.value)
        assert "Installing x1 does not change that" in str(caught.value)

    def test_with_their_libraries_they_are_refused_in_the_same_words(self, tmp_path: Path) -> None:
        """Nothing is left to install then."""
        md = definition(tmp_path, {"model_def.py": "from determined.keras import TFKerasTrial\nclass MyTrial(TFKerasTrial): ..."})
        assert hint(md, UnsupportedError) == "detjupyter trains PyTorch trials so far."

    def test_the_adapter_for_lightning_is_found_without_an_entrypoint(self, tmp_path: Path) -> None:
        """Its name does not end like those of the other trials."""
        lightning = "from determined.pytorch.lightning import LightningAdapter\nclass Mine(LightningAdapter): ..."
        assert hint(definition(tmp_path, {"model_def.py": lightning}), UnsupportedError, None).startswith("Derive the trial from")

    def test_another_trial_of_the_same_definition_is_not_concerned(self, tmp_path: Path) -> None:
        """The advice is about the class that is loaded."""
        keras = "from determined.keras import TFKerasTrial\nclass Old(TFKerasTrial): ..."
        md = definition(tmp_path, {"old.py": keras, "model_def.py": "import sklearn_x\n" + PYTORCH})
        assert hint(md).startswith("sklearn_x is not in the definition")

    def test_a_class_of_their_own_may_have_such_a_name(self, tmp_path: Path) -> None:
        """It is not Determined's."""
        own = "import not_there_at_all\nfrom their_library import TFKerasTrial\nclass MyTrial(TFKerasTrial): ..."
        assert hint(definition(tmp_path, {"model_def.py": own})).startswith("not_there_at_all is not in the definition")
