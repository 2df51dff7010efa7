from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest
from served import Api

from detjupyter.server.answers import RefusedError
from detjupyter.server.scans import Scans

MODEL = """
raise SystemExit("the server must never import this")

from detjupyter.pytorch import PyTorchTrial


class DigitsTrial(PyTorchTrial):
    pass
"""


def write(root: Path, files: dict[str, str]) -> Path:
    """Write files under ``root``."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


@pytest.fixture
def digits(jp_root_dir: Path) -> Path:
    """Write a model definition under the server's root."""
    files = {"model_def.py": MODEL, "const.yaml": "hyperparameters: {}\n", "data/images.bin": "x" * 1_000, ".detignore": "# data\ndata/\n"}
    return write(jp_root_dir / "work" / "digits", files)


async def test_a_definition_is_listed_with_what_decided(api: Api, digits: Path) -> None:
    """Included and excluded paths come with sizes and rules, and the Trial classes by name; none of it is imported."""
    answer = await api.get("definition", path="work/digits")
    assert (answer["path"], answer["name"], answer["entrypoints"]) == ("work/digits", "digits", ["model_def:DigitsTrial"])
    files = {record["path"]: record for record in answer["files"]}
    assert files["model_def.py"]["included"]
    assert files["model_def.py"]["size_bytes"] == len(MODEL)
    data = files["data/"]
    assert (data["included"], data["source"], data["line"], data["pattern"]) == (False, ".detignore", 2, "data/")
    assert answer["included_files"] == sum(record["included"] for record in answer["files"])
    assert (answer["truncated"], answer["limit_bytes"]) == (0, 99_614_720)


async def test_the_root_itself_can_be_the_definition(api: Api, jp_root_dir: Path) -> None:
    """Without a path the server's root directory is meant."""
    write(jp_root_dir, {"model_def.py": MODEL})
    answer = await api.get("definition")
    assert (answer["path"], answer["entrypoints"]) == ("", ["model_def:DigitsTrial"])


async def test_a_single_file_is_a_definition_too(api: Api, digits: Path) -> None:
    """A .py file is listed alone; another file is no definition."""
    answer = await api.get("definition", path="work/digits/model_def.py")
    assert [record["path"] for record in answer["files"]] == ["model_def.py"]
    status, _ = await api.refused("definition", path="work/digits/const.yaml")
    assert status == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("..", 400),
        ("../", 400),
        ("work/../../history", 400),
        ("work\\..\\..\\history", 400),
        ("/etc", 400),
        ("//etc", 400),
        ("\\\\host\\share", 400),
        ("work\0", 404),
        ("missing", 404),
        ("~root", 404),
        ("%2e%2e", 404),
        ("x" * 5_000, 404),
        ("\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), 404),
    ],
)
async def test_a_path_out_of_the_root_is_refused(api: Api, digits: Path, path: str, status: int) -> None:
    """Climbing, absolute and impossible paths reach nothing."""
    refused, answer = await api.refused("definition", path=path)
    assert refused == status
    assert "root:" not in answer["message"]


async def test_a_link_out_of_the_root_is_refused_as_if_nothing_were_there(api: Api, digits: Path, tmp_path: Path) -> None:
    """Links are followed before anything is decided; one that stays inside is served under its real name."""
    outside = write(tmp_path / "outside", {"model_def.py": MODEL})
    for link, target in (("out", outside), ("loop", digits / "loop"), ("inside", digits)):
        (digits.parent / link).symlink_to(target)
    missing = await api.refused("definition", path="work/missing")
    for path in ("work/out", "work/out/model_def.py", "work/loop"):
        status, answer = await api.refused("definition", path=path)
        assert (status, answer["message"].replace(path, "work/missing")) == (404, missing[1]["message"])
    assert (await api.get("definition", path="work/inside"))["path"] == "work/digits"


async def test_a_very_large_directory_is_cut_and_counted(api: Api, jp_root_dir: Path) -> None:
    """At most 5,000 paths are listed; how many more there are is said, and the totals count them all."""
    many = jp_root_dir / "many"
    many.mkdir()
    for number in range(5_050):
        os.close(os.open(many / f"file{number:05}.txt", os.O_CREAT | os.O_WRONLY))
    answer = await api.get("definition", path="many")
    assert (len(answer["files"]), answer["truncated"], answer["included_files"]) == (5_000, 50, 5_050)


async def test_a_module_that_does_not_compile_does_not_hide_the_files(api: Api, digits: Path) -> None:
    """The list of files is there while a user is in the middle of an edit."""
    (digits / "broken.py").write_text("def half(:\n")
    answer = await api.get("definition", path="work/digits")
    assert "broken.py" in {record["path"] for record in answer["files"]}
    assert answer["entrypoints"] == ["model_def:DigitsTrial"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
async def test_a_directory_that_cannot_be_read_is_no_failure(api: Api, digits: Path) -> None:
    """What the server may not read is left out, not a 500."""
    (digits / "closed").mkdir(mode=0)
    assert (await api.get("definition", path="work/digits"))["name"] == "digits"


async def test_requests_for_one_directory_share_a_scan(digits: Path, jp_root_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten reloads of a page start one scan, and one that takes too long is answered in time and found finished later."""
    import detjupyter.server.scans as module

    started: list[str] = []
    scan = module._scan

    def slow(root: Path, path: str) -> str:
        started.append(path)
        time.sleep(0.5)
        return scan(root, path)

    monkeypatch.setattr(module, "_scan", slow)
    scans = Scans(patience_s=0.1)
    try:
        answers: list[Any] = await asyncio.gather(*(scans.scan(jp_root_dir, "work/digits") for _ in range(10)), return_exceptions=True)
        assert all(isinstance(answer, RefusedError) and answer.status_code == 504 for answer in answers)
        assert started == ["work/digits"]
        await asyncio.sleep(0.6)
        assert not scans.is_busy
    finally:
        scans.close()
