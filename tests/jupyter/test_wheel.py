"""The wheel in a fresh environment without Node: magics, widgets, sidebar and server routes are all there."""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import sysconfig
import tarfile
import time
import urllib.error
import urllib.request
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.metadata import Metadata
from support.cells import kernel_in
from support.environments import ROOT, clean_environment, copy_quickstart
from trove_classifiers import classifiers

LABEXTENSION = "share/jupyter/labextensions/detjupyter"


@dataclass(frozen=True)
class Built:
    """The two files of a release."""

    wheel: Path
    sdist: Path


@dataclass(frozen=True)
class Fresh:
    """An environment with detjupyter from the wheel and everything else from this environment."""

    prefix: Path
    home: Path

    @property
    def python(self) -> Path:
        """Its Python."""
        return self.prefix / "bin/python"

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a fresh user who has no Node; without ``PYTHONPATH``, which would lead to the checkout."""
        environment = {name: value for name, value in clean_environment(self.home).items() if name != "PYTHONPATH"}
        return environment | {"PATH": str(self.prefix / "bin"), "VIRTUAL_ENV": str(self.prefix)}

    def run(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run its Python and return the output, without colors."""
        process = subprocess.run(
            [self.python, *arguments], env=self.environment, cwd=cwd or self.home, capture_output=True, text=True, timeout=60, check=False
        )
        assert process.returncode == 0, process.stdout + process.stderr
        return re.sub(r"\x1b\[[0-9;]*m", "", process.stdout + process.stderr)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build the sdist from the checkout and the wheel from the unpacked sdist, with the browser side as it was built and no Node.

    ``DETJUPYTER_DIST`` names a directory with both of them instead: `make release-check` checks the very files that are uploaded.
    """
    if given := os.environ.get("DETJUPYTER_DIST"):
        return built_in(ROOT / given)
    for path in ("detjupyter/labextension/package.json", "detjupyter/widgets/static/live.js"):
        assert (ROOT / path).is_file(), "The browser side was not built: `make build`."
    target = tmp_path_factory.mktemp("dist")
    environment = os.environ | {"PATH": str(tmp_path_factory.mktemp("empty"))}
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(target), str(ROOT)]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert process.returncode == 0, process.stdout[-3000:] + process.stderr[-3000:]
    return built_in(target)


def built_in(directory: Path) -> Built:
    """Return the two files in a directory that holds nothing else."""
    (wheel,), (sdist,) = directory.glob("*.whl"), directory.glob("*.tar.gz")
    return Built(wheel, sdist)


@pytest.fixture(scope="module")
def fresh(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    """Install the wheel into a new environment.

    Its other packages are those of this environment, found through a .pth file: Python reads no .pth files of a directory that was added
    so, hence this environment's editable install of detjupyter stays out.
    """
    fresh = Fresh(tmp_path_factory.mktemp("fresh") / "venv", tmp_path_factory.mktemp("home"))
    venv.create(fresh.prefix, symlinks=True, with_pip=False)
    install = [sys.executable, "-m", "pip", "--python", str(fresh.python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, "--disable-pip-version-check", str(built.wheel)], check=True, timeout=60)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(fresh.prefix), "platbase": str(fresh.prefix)}))
    (packages / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    assert fresh.run("-c", "import detjupyter; print(detjupyter.__file__)").strip() == str(packages / "detjupyter/__init__.py")
    return fresh


def test_the_wheel_holds_the_package_and_the_browser_side_once(built: Built) -> None:
    """Python, the widgets' module, what JupyterLab and the server read; no tests, notebooks or sources of the browser side."""
    names = zipfile.ZipFile(built.wheel).namelist()
    for part in (
        "detjupyter/__init__.py",
        "detjupyter/py.typed",
        "detjupyter/widgets/static/live.js",
        f".data/data/{LABEXTENSION}/package.json",
        f".data/data/{LABEXTENSION}/install.json",
        f".data/data/{LABEXTENSION}/static/remoteEntry.",
        ".data/data/etc/jupyter/jupyter_server_config.d/detjupyter.json",
        ".dist-info/licenses/LICENSE",
    ):
        assert sum(part in name for name in names) == 1, part
    assert {name.split("/")[0].split("-")[0] for name in names} == {"detjupyter"}
    assert not [name for name in names if name.startswith("detjupyter/labextension")]
    assert not [name for name in names if "tests" in name or name.endswith((".ipynb", ".ts", ".tsx", ".map", ".pyc"))]
    assert built.wheel.stat().st_size < 1_000_000


def test_the_sdist_holds_what_was_built(built: Built) -> None:
    """So that installing from it needs no Node either; and nothing that git ignores besides."""
    with tarfile.open(built.sdist) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    for part in (
        "detjupyter/labextension/package.json",
        "detjupyter/widgets/static/live.js",
        "package-lock.json",
        "pyproject.toml",
        "LICENSE",
    ):
        assert part in names
    assert any(name.startswith("labextension/src/") for name in names)
    assert not [name for name in names if name.startswith(("node_modules", ".venv", ".cache", "screenshots", "dist", "lib/"))]


def test_the_metadata_is_valid_and_says_one_version(built: Built) -> None:
    """As the registry reads it, in both files, and in the browser side that the wheel brings along."""
    version = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["version"]
    with zipfile.ZipFile(built.wheel) as wheel, tarfile.open(built.sdist) as sdist:
        in_wheel = wheel.read(f"detjupyter-{version}.dist-info/METADATA")
        browser = json.loads(wheel.read(f"detjupyter-{version}.data/data/{LABEXTENSION}/package.json"))
        in_sdist = sdist.extractfile(f"detjupyter-{version}/PKG-INFO")
        assert in_sdist is not None
        assert in_sdist.read() == in_wheel
    assert browser["version"] == version
    metadata = Metadata.from_email(in_wheel, validate=True)
    assert str(metadata.version) == version
    assert metadata.license_expression == "Apache-2.0"
    assert set(metadata.classifiers or ()) <= classifiers
    assert {"Changelog", "Issues"} <= set(metadata.project_urls or {})


def test_links_in_the_description_lead_out_of_the_checkout(built: Built) -> None:
    """The README is the page of the registry, where a relative link or picture leads nowhere."""
    with zipfile.ZipFile(built.wheel) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Metadata.from_email(wheel.read(name), validate=True)
    assert metadata.description_content_type == "text/markdown"
    links = re.findall(r"\]\(([^)]*)\)", metadata.description or "")
    assert any(link.endswith("/docs/quickstart.png") for link in links)
    assert [link for link in links if not link.startswith(("https://", "#"))] == []


def test_jupyterlab_finds_the_sidebar(fresh: Fresh) -> None:
    """It is enabled and valid without any action of the user."""
    listed = fresh.run("-m", "jupyterlab.labextensions", "list")
    (line,) = [line for line in listed.splitlines() if "detjupyter" in line and " v" in line]
    assert "enabled" in line
    assert "OK" in line
    manifest = json.loads((fresh.prefix / LABEXTENSION / "package.json").read_text(encoding="utf-8"))
    assert (fresh.prefix / LABEXTENSION / manifest["jupyterlab"]["_build"]["load"]).is_file()


def test_the_server_answers_the_sidebars_questions(fresh: Fresh) -> None:
    """The wheel alone enables the extension; without the token there is no answer."""
    assert "detjupyter enabled" in " ".join(fresh.run("-m", "jupyter_server.extension.serverextension", "list").split())
    token = secrets.token_hex(16)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/detjupyter/api/runs"
    command = [fresh.python, "-m", "jupyter_server", f"--port={port}", "--port-retries=0", "--allow-root", "--no-browser"]
    log = (fresh.home / "server.log").open("wb")
    with (
        log,
        subprocess.Popen([*command, f"--IdentityProvider.token={token}"], env=fresh.environment, cwd=fresh.home, stderr=log) as server,
    ):
        try:
            assert fetch(url, token) == {"runs": []}
            with pytest.raises(urllib.error.HTTPError, match="403"):
                fetch(url, "wrong")
        finally:
            server.terminate()


def fetch(url: str, token: str, patience_s: float = 30) -> object:
    """Return what the server answers, once it listens."""
    request = urllib.request.Request(url, headers={"Authorization": f"token {token}"})
    deadline = time.monotonic() + patience_s
    while True:
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            error.close()
            raise
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def test_a_kernel_loads_and_trains_with_a_live_view(fresh: Fresh, tmp_path: Path) -> None:
    """Magics and widgets work from the wheel."""
    spec = fresh.home / "data/kernels/fresh/kernel.json"
    spec.parent.mkdir(parents=True)
    argv = [str(fresh.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec.write_text(json.dumps({"argv": argv, "display_name": "fresh", "language": "python"}), encoding="utf-8")
    directory = copy_quickstart(tmp_path / "quickstart")
    with kernel_in(directory, fresh.home, name="fresh", PATH=fresh.environment["PATH"], PYTHONPATH="") as cells:
        cells.ok("%load_ext detjupyter")
        assert cells.value("__import__('detjupyter').__file__").startswith(f"'{fresh.prefix}")
        assert cells.value("__import__('shutil').which('node')") == "None"
        assert "DigitsTrial" in cells.ok("%det_load model_def:DigitsTrial").text
        cell = cells.begin("%det_train --batches 100")
        cells.finish(cell)
        cells.ok("import detjupyter; detjupyter.current_session().wait()")
        assert any("_esm" in message["content"].get("data", {}).get("state", {}) for message in cells.messages)
        assert "finished · 100 batches" in cells.shown[cell].text
