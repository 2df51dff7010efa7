from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.served import API, Api, Connect, rows, write
from support.waiting import until
from tornado.httpclient import HTTPClientError

MODEL = """
raise SystemExit("the server must never import this")

from detjupyter.pytorch import PyTorchTrial


class DigitsTrial(PyTorchTrial):
    pass
"""


@pytest.fixture
def digits(jp_root_dir: Path) -> Path:
    """Write a model definition under the server's root."""
    files = {"model_def.py": MODEL, "const.yaml": "hyperparameters: {}\n", "data/images.bin": "x" * 1_000, ".detignore": "# data\ndata/\n"}
    return write(jp_root_dir / "work" / "digits", files)


async def test_a_definition_is_listed_with_what_decided(api: Api, digits: Path) -> None:
    """Included and excluded paths come with sizes and rules, and the Trial classes by name; none of it is imported."""
    answer = await api.get("definition", path="work/digits")
    assert (answer["path"], answer["name"], answer["entrypoints"]) == ("work/digits", "digits", ["model_def:DigitsTrial"])
    files = rows(answer)
    assert files["model_def.py"] == {"size_bytes": len(MODEL), "source": None, "line": None, "pattern": None, "includes": True}
    assert files["data/"] == {"size_bytes": 0, "source": ".detignore", "line": 2, "pattern": "data/", "includes": False}
    assert answer["included_files"] == sum(row["includes"] for row in files.values())
    assert (answer["truncated"], answer["limit_bytes"], answer["is_file"], answer["largest"]) == (0, 99_614_720, False, [])


async def test_a_config_that_must_be_named_is_answered(api: Api, jp_root_dir: Path) -> None:
    """Only if several files may be the config; the first of them with hyperparameters."""
    files = {"model_def.py": MODEL, "adaptive.yaml": "searcher: {}\n", "config.yaml": "hyperparameters: {}\n"}
    write(jp_root_dir / "several", files)
    assert (await api.get("definition", path="several"))["config"] == "config.yaml"
    (jp_root_dir / "several" / "adaptive.yaml").unlink()
    assert (await api.get("definition", path="several"))["config"] is None
    write(jp_root_dir / "default", {**files, "const.yaml": ""})
    assert (await api.get("definition", path="default"))["config"] is None


async def test_every_rule_is_said_once(api: Api, jp_root_dir: Path) -> None:
    """A rule that decides about a hundred paths travels once, and a negation is a rule that lets them in."""
    files = {f"{number}.txt": "" for number in range(100)} | {"keep.txt": "", "model.py": "", ".detignore": "*.txt\n!keep.txt\n"}
    write(jp_root_dir / "many", files)
    answer = await api.get("definition", path="many")
    assert [(rule["pattern"], rule["includes"]) for rule in answer["rules"]] == [
        (".detignore", False),
        ("*.txt", False),
        ("!keep.txt", True),
    ]
    assert answer["excluded_entries"] == 101
    assert rows(answer)["keep.txt"]["line"] == 2


async def test_a_line_that_is_no_pattern_is_named(api: Api, digits: Path) -> None:
    """A problem of a `.detignore` is reported with its line, and the other lines apply."""
    (digits / ".detignore").write_text("data/\n\\\n")
    answer = await api.get("definition", path="work/digits")
    assert any("line 2" in problem for problem in answer["problems"])
    assert not rows(answer)["data/"]["includes"]


async def test_near_the_limit_the_heaviest_are_named(api: Api, digits: Path) -> None:
    """Above 80 % of the limit the answer lists the largest files and folders; below it, the list is empty."""
    (digits / "weights").mkdir()
    for name, size in (("weights/a.bin", 50_000_000), ("weights/b.bin", 32_000_000), ("images.npy", 12_000_000)):
        with (digits / name).open("wb") as file:
            file.truncate(size)
    answer = await api.get("definition", path="work/digits")
    heaviest = [(one["path"], one["size_bytes"], one["files"]) for one in answer["largest"]]
    assert heaviest == [("weights/", 82_000_000, 2), ("images.npy", 12_000_000, 1)]


async def test_what_has_not_changed_is_not_sent_again(jp_fetch: Callable[..., Any], digits: Path) -> None:
    """With the word that came with the last answer there is only a 304, until something is otherwise."""
    first = await jp_fetch(API, "definition", params={"path": "work/digits"})
    known = {"If-None-Match": first.headers["ETag"]}
    with pytest.raises(HTTPClientError) as same:
        await jp_fetch(API, "definition", params={"path": "work/digits"}, headers=dict(known))
    assert (same.value.code, same.value.response and same.value.response.body) == (304, b"")
    (digits / "new.py").write_text("")
    changed = await jp_fetch(API, "definition", params={"path": "work/digits"}, headers=dict(known))
    assert "new.py" in rows(json.loads(changed.body))


async def test_determined_s_own_reading_is_compared(api: Api, jp_root_dir: Path) -> None:
    """Paths about which its uploader would decide differently are named; a directory that is left out represents its contents."""
    files = {".detignore": "*\n!*/\n!*.py\n", "a.py": "", "pkg/b.py": "", "pkg/c.py": ""}
    write(jp_root_dir / "idiom", files)
    answer = await api.get("definition/determined", path="idiom")
    assert dict(zip(answer["paths"], answer["ships"], strict=True)) == {"pkg/b.py": False, "pkg/c.py": False}
    assert (answer["total"], answer["problems"]) == (2, [])

    write(jp_root_dir / "venv", {"a.py": "", ".venv/lib/one.txt": "1", ".venv/lib/two.txt": "2"})
    answer = await api.get("definition/determined", path="venv")
    assert (answer["paths"], answer["ships"], answer["counts"], answer["total"]) == ([".venv/"], [True], [2], 2)


async def test_an_upload_that_would_fail_is_said_as_such(api: Api, jp_root_dir: Path) -> None:
    """A `.detignore` that its uploader cannot even read is one problem, not a difference about every path."""
    write(jp_root_dir / "latin", {"a.py": "", "b.py": ""})
    (jp_root_dir / "latin/.detignore").write_bytes(b"caf\xe9\n")
    answer = await api.get("definition/determined", path="latin")
    assert (answer["paths"], answer["total"]) == ([], 0)
    assert answer["problems"]


async def test_names_and_messages_are_spelled_out(api: Api, jp_root_dir: Path) -> None:
    """Neither escape sequences nor marks of direction reach the browser: in names, patterns, and errors."""
    write(jp_root_dir / "odd", {"a\x1b[31mred.py": "", "\u202egnp.py": "", "b.log": "", ".detignore": "*.log\n\u2066*.bin\n"})
    answer = await api.get("definition", path="odd")
    assert {r"a\x1b[31mred.py", r"\u202egnp.py"} <= set(rows(answer))
    _, refused = await api.refused("definition", path="no\u202ewhere")
    assert r"no\u202ewhere" in refused["message"]
    proposal = {"path": "odd", "file": "\u202egnp.py", "include": False}
    edit = json.loads((await api.send("POST", "definition/ignore", proposal)).body)
    assert not set("\x1b\u202e\u2066") & set(json.dumps([answer, edit], ensure_ascii=False))


async def test_the_root_itself_can_be_the_definition(api: Api, jp_root_dir: Path) -> None:
    """Without a path the server's root directory is meant."""
    write(jp_root_dir, {"model_def.py": MODEL})
    answer = await api.get("definition")
    assert (answer["path"], answer["entrypoints"]) == ("", ["model_def:DigitsTrial"])


async def test_a_single_file_is_a_definition_too(api: Api, digits: Path) -> None:
    """A .py file is listed alone; another file is not a definition."""
    answer = await api.get("definition", path="work/digits/model_def.py")
    assert (list(rows(answer)), answer["is_file"]) == (["model_def.py"], True)
    assert (await api.get("definition/determined", path="work/digits/model_def.py"))["total"] == 0
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


async def test_a_very_large_directory_is_cut_and_counted(api: Api, jp_root_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If there are too many paths, those nearest the root are listed, the number of the others is given, and the totals count all."""
    monkeypatch.setattr("detjupyter.server.listing.MAX_FILES", 500)
    many = jp_root_dir / "many"
    many.mkdir()
    for number in range(550):
        os.close(os.open(many / f"file{number:05}.txt", os.O_CREAT | os.O_WRONLY))
    write(many.parent, {"model_def.py": ""})
    answer = await api.get("definition")
    assert (len(answer["files"]["paths"]), answer["truncated"], answer["included_files"]) == (500, 51, 551)
    assert {"model_def.py", "many/file00000.txt"} <= set(answer["files"]["paths"])


async def test_a_directory_of_very_many_paths_is_asked_about_first(api: Api, digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More paths than a definition has are refused with 413 and the number, unless the browser says that any size is meant."""
    monkeypatch.setattr("detjupyter.definition.model_definition.MOST_PATHS", 2)
    monkeypatch.setattr("detjupyter.bundle.walk._PROGRESS_S", 0.0)
    write(digits, {f"part{number}/{number}.txt": "" for number in range(5)})
    status, answer = await api.refused("definition", path="work/digits")
    assert (status, answer["message"]) == (413, "This directory holds more than 2 entries.")
    assert str(digits) not in answer["message"]
    assert (await api.get("definition", path="work/digits", any_size=1))["included_files"] == 7
    status, _ = await api.refused("definition", path="work/digits", any_size=2)
    assert status == 400


async def test_a_module_that_does_not_compile_does_not_hide_the_files(api: Api, digits: Path) -> None:
    """The list of files is there while a user is in the middle of an edit."""
    (digits / "broken.py").write_text("def half(:\n")
    answer = await api.get("definition", path="work/digits")
    assert "broken.py" in rows(answer)
    assert answer["entrypoints"] == ["model_def:DigitsTrial"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
async def test_a_directory_that_cannot_be_read_is_no_failure(api: Api, digits: Path) -> None:
    """A directory that the server cannot read is left out, without an error."""
    (digits / "closed").mkdir(mode=0)
    assert (await api.get("definition", path="work/digits"))["name"] == "digits"


async def test_a_browser_that_turns_away_ends_its_scan(
    connect: Connect, digits: Path, jp_serverapp: Any, jp_base_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """During a long scan the browser gets its progress; when the request is closed, the scan ends."""

    def endless(_root: Path, *, progress: Callable[[int], None], **_options: object) -> None:
        found = 0
        while True:
            found += 1_000
            progress(found)
            time.sleep(0.01)

    monkeypatch.setattr("detjupyter.definition.model_definition.scan", endless)
    scans = jp_serverapp.web_app.settings["detjupyter"].scans
    async with connect() as live:
        await live.watch_definition("work/digits")
        _, request = await asyncio.open_connection("127.0.0.1", jp_serverapp.port)
        lines = (
            f"GET {jp_base_url}{API}/definition?path=work/digits HTTP/1.1",
            f"Host: 127.0.0.1:{jp_serverapp.port}",
            f"Authorization: token {jp_serverapp.identity_provider.token}",
        )
        request.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        message = await live.next("scan_progress")
        assert (message["path"], message["found"] >= 1_000) == ("work/digits", True)
        assert (await live.next("scan_progress"))["found"] > message["found"]
        request.close()
        await until(lambda: not scans.is_busy)
