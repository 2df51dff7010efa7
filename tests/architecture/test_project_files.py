"""Facts in several files of the project agree, and every file that is named exists."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from ruamel.yaml import YAML
from support.lowest_versions import lowest_versions

ROOT = Path(__file__).parents[2]
PROSE = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/releasing.md", "benchmarks/README.md", ".github/ISSUE_TEMPLATE/bug.yml"]
NORMALIZED = str.maketrans("_.", "--")


def text(path: str) -> str:
    """Return the content of a file of the project."""
    return (ROOT / path).read_text(encoding="utf-8")


def yaml(path: str) -> Any:
    """Return the content of a YAML file of the project."""
    return YAML(typ="safe", pure=True).load(text(path))


def pyproject() -> dict[str, Any]:
    """Return the content of pyproject.toml."""
    return tomllib.loads(text("pyproject.toml"))


def recipe(target: str) -> list[str]:
    """Return the commands of a target of the Makefile, or those of the targets that it consists of."""
    match = re.search(rf"^{target}:(.*)\n((?:\t.*\n)*)", text("Makefile"), re.MULTILINE)
    assert match is not None, f"There is no target {target} in the Makefile."
    own = match[2].replace("$(BIN)", ".venv/bin").replace("\t", "").splitlines()
    return own or [command for part in match[1].split() for command in recipe(part)]


def code_in(path: str) -> list[str]:
    """Return the lines of the code blocks of a page, and the text between backticks in its prose."""
    blocks = re.findall(r"^ *```\w*\n(.*?)```", text(path), re.DOTALL | re.MULTILINE)
    prose = re.sub(r"```.*?```", "", text(path), flags=re.DOTALL)
    return [*"".join(blocks).splitlines(), *re.findall(r"`([^`]+)`", prose)]


def named_paths(path: str) -> Iterator[str]:
    """Yield what a page names that looks like a path of the project."""
    for name in code_in(path):
        if re.fullmatch(r"[\w.-]+(/[\w.-]+)*/?", name) and ("/" in name or re.search(r"\.(md|toml|json|yaml|py|cff)$", name)):
            yield name


def test_the_version_stands_once() -> None:
    """package.json holds the version; the lock file, the citation and the changelog know the same one."""
    version = json.loads(text("package.json"))["version"]
    assert json.loads(text("package-lock.json"))["version"] == version
    assert yaml("CITATION.cff")["version"] == version
    assert f"[{version}]" in text("CHANGELOG.md")
    assert "version" in pyproject()["project"]["dynamic"]


def test_the_oldest_python_is_the_same_everywhere() -> None:
    """What pip refuses, what make refuses, what mypy checks, and what the README says."""
    oldest = pyproject()["project"]["requires-python"].removeprefix(">=")
    assert pyproject()["tool"]["mypy"]["python_version"] == oldest
    assert f"Programming Language :: Python :: {oldest}" in pyproject()["project"]["classifiers"]
    assert f"sys.version_info < ({oldest.replace('.', ', ')})" in text("Makefile")
    said = [*re.findall(r"Python (\S+) or newer", text("Makefile")), *re.findall(r"Python ≥ (\S+)", text("README.md"))]
    assert set(said) == {oldest}


def test_a_commit_is_checked_by_the_commands_of_make_lint() -> None:
    """Each hook of pre-commit is a command of `make lint`, and each command of it is a hook."""
    (repository,) = yaml(".pre-commit-config.yaml")["repos"]
    assert [hook["entry"] for hook in repository["hooks"]] == recipe("lint")


def test_every_npm_script_that_is_run_exists() -> None:
    """Every npm script in the Makefile and in the instructions for contributors exists."""
    scripts = json.loads(text("package.json"))["scripts"]
    run = {name for path in ("Makefile", "CONTRIBUTING.md") for name in re.findall(r"npm run (?:--silent )?([\w:]+)", text(path))}
    assert run
    assert run <= set(scripts)


@pytest.mark.parametrize("path", PROSE)
def test_every_target_of_make_that_is_named_exists(path: str) -> None:
    """`make lab` and the others, in prose and in code blocks."""
    commands = [match[1] for code in code_in(path) if (match := re.match(r"(?:\w+=\S+ )?make ([a-z][a-z-]*)", code))]
    for target in commands:
        assert re.search(rf"^{target}:", text("Makefile"), re.MULTILINE), target


@pytest.mark.parametrize("path", ["CONTRIBUTING.md", "SECURITY.md", "docs/releasing.md"])
def test_every_path_that_is_named_exists(path: str) -> None:
    """Relative to the project or to the package; what a build writes is in .gitignore."""
    built = tuple(line.strip("/") for line in text(".gitignore").splitlines() if line and not line.startswith("#"))
    missing = [
        name
        for name in named_paths(path)
        if not (ROOT / name).exists() and not (ROOT / "detjupyter" / name).exists() and not name.startswith(built)
    ]
    assert missing == []


def test_every_relative_link_leads_somewhere() -> None:
    """From every page of the project, to a file or to a directory of it."""
    pages = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert "README.md" in pages
    for page in pages:
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text(page)):
            assert (ROOT / page).parent.joinpath(target).exists(), f"{page}: {target}"


def test_every_dependency_has_its_reason() -> None:
    """Each package that pyproject.toml asks for is named in docs/decisions/0002-dependencies.md."""
    project = pyproject()["project"]
    asked = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    asked += pyproject()["build-system"]["requires"]
    named = set(re.findall(r"[a-z0-9-]+", text("docs/decisions/0002-dependencies.md").lower().translate(NORMALIZED)))
    assert {Requirement(one).name.lower().translate(NORMALIZED) for one in asked} - named == set()


class TestLowestVersions:
    """The constraints of `make oldest`."""

    def test_every_dependency_is_pinned_but_torch(self) -> None:
        """Each to the bound that pyproject.toml gives."""
        asked = pyproject()["project"]["dependencies"]
        pins = lowest_versions(asked)
        assert len(pins) == len(asked) - 1
        assert "torch" not in {pin.partition("==")[0] for pin in pins}
        assert lowest_versions(["a>=1.2,<3,!=2.0.*", "torch>=2"]) == ["a==1.2"]

    @pytest.mark.parametrize("requirement", ["a", "a<2", "a==1.0", "a>=1,>=2"])
    def test_a_dependency_without_a_lower_bound_is_refused(self, requirement: str) -> None:
        """What has no lowest version cannot be tested with it."""
        with pytest.raises(ValueError, match="needs one lower bound"):
            lowest_versions([requirement])
