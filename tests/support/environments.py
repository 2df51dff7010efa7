"""Real things that several tiers of tests start: JupyterLab servers, kernels of another ipykernel."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache"
OLD_IPYKERNEL = "6.31.0"


@dataclass(frozen=True)
class Lab:
    """A directory of a running JupyterLab.

    Attributes:
        directory: Where the notebooks are.
        home: The user's home, with the history.
        prefix: What the server puts before a path in ``directory``: empty, or a name with a slash.
    """

    url: str
    token: str
    directory: Path
    home: Path
    prefix: str = ""

    def below(self, name: str) -> Lab:
        """Return the directory ``name`` of this one."""
        return replace(self, directory=self.directory / name, prefix=f"{self.prefix}{name}/")

    def end_kernels(self) -> None:
        """Shut down the kernels of the notebooks in the directory."""
        for session in self._ask("sessions"):
            if session["path"].startswith(self.prefix):
                self._ask(f"sessions/{session['id']}", method="DELETE")

    def _ask(self, path: str, method: str = "GET") -> Any:
        request = urllib.request.Request(f"{self.url}/api/{path}?token={self.token}", method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")


# ipykernel does not watch file descriptors 1 and 2 where pytest says that it runs.
UNWANTED = ("JUPYTER", "IPYTHON", "DETJUPYTER", "PYTEST_CURRENT_TEST")


def clean_environment(home: Path) -> dict[str, str]:
    """Return the environment of a fresh user in ``home``, with this Python's Jupyter in front."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(UNWANTED)}
    return environment | {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "DETJUPYTER_HOME": str(home / "detjupyter"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_PLATFORM_DIRS": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "OMP_NUM_THREADS": "1",
    }


class LabProcess:
    """Start JupyterLab on a directory and stop it, kernels and all, at the end."""

    def __init__(self, home: Path, directory: Path, *, theme: str = "JupyterLab Light") -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._log = home / "jupyter.log"
        home.mkdir(parents=True, exist_ok=True)
        for plugin, settings in (("notification", {"fetchNews": "false", "checkForUpdates": False}), ("themes", {"theme": theme})):
            path = home / "config/lab/user-settings/@jupyterlab/apputils-extension" / f"{plugin}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(settings), encoding="utf-8")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.lab = Lab(f"http://127.0.0.1:{port}", secrets.token_hex(16), directory, home)
        settings = {
            "ServerApp.root_dir": directory,
            "IdentityProvider.token": self.lab.token,
            "LabApp.expose_app_in_browser": True,
            "JupyterNotebookApp.expose_app_in_browser": True,
        }
        self._command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", "--port-retries=0"]
        self._command += [f"--{name}={value}" for name, value in settings.items()]

    def __enter__(self) -> Lab:
        environment = clean_environment(self.lab.home)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self.lab.directory, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.lab.url}/api?token={self.lab.token}", timeout=2):
                    return self.lab
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        self.__exit__()
        raise RuntimeError(f"JupyterLab did not start:\n{self._log.read_text(encoding='utf-8')[-3000:]}")

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def log(self) -> str:
        """Return what the server wrote so far."""
        return self._log.read_text(encoding="utf-8")


def serve_this_build(home: Path) -> None:
    """Have the JupyterLab of a user take the panel from this working tree, also where an older build is installed."""
    extensions = home / "labextensions"
    extensions.mkdir(parents=True)
    (extensions / "detjupyter").symlink_to(ROOT / "detjupyter/labextension", target_is_directory=True)
    settings = {app: {"extra_labextensions_path": [str(extensions)]} for app in ("LabApp", "JupyterNotebookApp")}
    (home / "config/jupyter_lab_config.json").write_text(json.dumps(settings), encoding="utf-8")


def copy_quickstart(target: Path) -> Path:
    """Copy the quickstart's directory and return the copy."""
    return Path(shutil.copytree(ROOT / "notebooks/quickstart", target))


def add_old_ipykernel(home: Path) -> str:
    """Add a kernel that runs ipykernel 6 to the user of ``home`` and return its name.

    Only ipykernel is another one: it is put before this environment's packages, so that torch need not be installed twice.
    """
    packages = CACHE / f"ipykernel-{OLD_IPYKERNEL}"
    if not (packages / "ipykernel").is_dir():
        scratch = packages.with_suffix(f".{os.getpid()}")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(scratch)]
        subprocess.run([*command, f"ipykernel=={OLD_IPYKERNEL}", "nest-asyncio"], check=True)
        with suppress(OSError):  # another test run was first
            scratch.rename(packages)
    name = "python3-ipykernel6"
    spec = home / "data/kernels" / name
    spec.mkdir(parents=True, exist_ok=True)
    kernel = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": f"Python 3 (ipykernel {OLD_IPYKERNEL})",
        "language": "python",
        "env": {"PYTHONPATH": os.pathsep.join(filter(None, (str(packages), os.environ.get("PYTHONPATH"))))},  # the checkout under test, too
    }
    (spec / "kernel.json").write_text(json.dumps(kernel), encoding="utf-8")
    return name
