from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from support.served import Api, rows, write


@pytest.fixture
def digits(jp_root_dir: Path) -> Path:
    """Write a model definition with data next to it."""
    files = {
        "model_def.py": "",
        "data/big.csv": "x" * 900,
        "data/small.csv": "x" * 100,
        ".detignore": "# what stays\n*.log\n",
        "a.log": "12345",
    }
    return write(jp_root_dir / "digits", files)


async def edit(api: Api, file: str, *, include: bool, save: bool = False, expected_hash: str | None = None) -> dict[str, Any]:
    """Ask for an edit of the definition ``digits``."""
    body = {"path": "digits", "file": file, "include": include, "save": save, "expected_hash": expected_hash}
    answer = await api.send("POST", "definition/ignore", body)
    return dict(json.loads(answer.body))


async def test_the_effect_is_shown_before_anything_is_saved(api: Api, digits: Path) -> None:
    """The lines, and what would no longer ship with its size, come without a change on disk."""
    before = (digits / ".detignore").read_bytes()
    answer = await edit(api, "data/", include=False)
    assert (answer["added"], answer["removed"], answer["undo"]) == (["/data/"], [], None)
    assert answer["left_out"] == {"files": 2, "size_bytes": 1_000, "names": ["data/big.csv", "data/small.csv"]}
    assert answer["ships"] == {"files": 0, "size_bytes": 0, "names": []}
    assert (digits / ".detignore").read_bytes() == before

    answer = await edit(api, "a.log", include=True)
    assert (answer["added"], answer["ships"]) == (["!/a.log"], {"files": 1, "size_bytes": 5, "names": ["a.log"]})


async def test_what_was_shown_is_saved_and_can_be_taken_back(api: Api, digits: Path) -> None:
    """Saving writes the line, the listing follows it, and undo brings the file back byte for byte."""
    before = (digits / ".detignore").read_bytes()
    shown = await edit(api, "data/big.csv", include=False)
    saved = await edit(api, "data/big.csv", include=False, save=True, expected_hash=shown["expected_hash"])
    assert (digits / ".detignore").read_bytes() == before + b"/data/big.csv\n"
    assert not rows(await api.get("definition", path="digits"))["data/big.csv"]["includes"]
    await api.send("POST", "definition/ignore/undo", {"undo": saved["undo"]})
    assert (digits / ".detignore").read_bytes() == before
    status, _ = await api.refused("definition/ignore/undo", method="POST", body={"undo": saved["undo"]})
    assert status == 404


async def test_the_first_edit_creates_the_file_and_undo_removes_it(api: Api, digits: Path) -> None:
    """A definition without a `.detignore` gets one, and is again without one after undo."""
    (digits / ".detignore").unlink()
    shown = await edit(api, "data/", include=False)
    saved = await edit(api, "data/", include=False, save=True, expected_hash=shown["expected_hash"])
    assert (digits / ".detignore").read_text() == "/data/\n"
    await api.send("POST", "definition/ignore/undo", {"undo": saved["undo"]})
    assert not (digits / ".detignore").exists()


async def test_a_file_that_was_changed_meanwhile_is_left_alone(api: Api, digits: Path) -> None:
    """Neither saving nor undo overwrites changes made by another program since the effect was shown."""
    shown = await edit(api, "data/", include=False)
    (digits / ".detignore").write_text("somebody else\n")
    body = {"path": "digits", "file": "data/", "include": False, "save": True, "expected_hash": shown["expected_hash"]}
    status, answer = await api.refused("definition/ignore", method="POST", body=body)
    assert (status, "changed" in answer["message"]) == (409, True)
    assert answer["hint"]

    shown = await edit(api, "data/", include=False)
    saved = await edit(api, "data/", include=False, save=True, expected_hash=shown["expected_hash"])
    (digits / ".detignore").write_text("and again\n")
    status, answer = await api.refused("definition/ignore/undo", method="POST", body={"undo": saved["undo"]})
    assert (status, "changed" in answer["message"]) == (409, True)
    assert (digits / ".detignore").read_text() == "and again\n"


async def test_what_never_ships_cannot_be_let_in(api: Api, digits: Path) -> None:
    """Byte code is refused with the reason instead of a line that would do nothing."""
    write(digits, {"old.pyc": "x"})
    body = {"path": "digits", "file": "old.pyc", "include": True, "save": False}
    status, answer = await api.refused("definition/ignore", method="POST", body=body)
    assert (status, "*.pyc" in answer["message"]) == (400, True)


@pytest.mark.parametrize("file", ["../other/secret.txt", "/etc/passwd", "data/../../other/secret.txt", "", "/", ".", "a\0b", "..\\other"])
async def test_a_path_out_of_the_definition_is_refused(api: Api, digits: Path, jp_root_dir: Path, file: str) -> None:
    """Nothing outside of the definition can be named, and nothing is written."""
    write(jp_root_dir / "other", {"secret.txt": "x"})
    body = {"path": "digits", "file": file, "include": False, "save": True, "expected_hash": "none"}
    status, _ = await api.refused("definition/ignore", method="POST", body=body)
    assert status == 400
    assert (digits / ".detignore").read_text() == "# what stays\n*.log\n"
    assert not (jp_root_dir / ".detignore").exists()


@pytest.mark.parametrize(
    ("path", "status"), [("..", 400), ("/etc", 400), ("missing", 404), ("digits/model_def.py", 400), ("digits/a.log", 404)]
)
async def test_a_definition_that_is_no_directory_of_ours_is_refused(api: Api, digits: Path, path: str, status: int) -> None:
    """Only a directory under the server's root has a `.detignore` to edit."""
    body = {"path": path, "file": "a.log", "include": True, "save": True, "expected_hash": "none"}
    refused, answer = await api.refused("definition/ignore", method="POST", body=body)
    assert (refused, bool(answer["message"])) == (status, True)


async def test_a_link_does_not_tell_what_is_outside(api: Api, digits: Path, tmp_path: Path) -> None:
    """Answers for a file behind a link out of the root and for one that does not exist differ in the name only; the link is an entry."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/there.txt").write_text("secret")
    (digits / "out").symlink_to(tmp_path / "outside")
    (digits / "deep").symlink_to(digits / "out")
    (digits / "circle").symlink_to("circle")
    answers = []
    for file in ("out/there.txt", "out/missing.txt", "deep/there.txt", "deep/missing.txt", "circle/x"):
        status, answer = await api.refused("definition/ignore", method="POST", body={"path": "digits", "file": file, "include": False})
        answers.append((status, answer["message"].replace(file, "FILE"), answer["hint"]))
    assert set(answers) == {(404, "'FILE' does not exist any more.", "Refresh the panel to see the current files.")}
    await api.send("POST", "definition/ignore", {"path": "digits", "file": "out", "include": False})


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the platform has no pipes")
async def test_no_message_names_an_absolute_path(api: Api, digits: Path, jp_root_dir: Path) -> None:
    """Of a definition that is missing, or neither a directory nor a file: paths are relative to the server's root."""
    os.mkfifo(digits / "fifo.py")
    for path in ("digits/fifo.py", "digits/missing.py", "digits/none"):
        body = {"path": path, "file": "a.log", "include": False}
        for refused in (await api.refused("definition", path=path), await api.refused("definition/ignore", method="POST", body=body)):
            assert (refused[0], path in refused[1]["message"]) == (404, True)
            assert str(jp_root_dir) not in json.dumps(refused[1])


async def test_a_file_that_has_gone_is_said_to_be_gone(api: Api, digits: Path) -> None:
    """An old page that names what is not there any more gets a 404, not a line about nothing."""
    body = {"path": "digits", "file": "data/gone.csv", "include": False, "save": False}
    status, answer = await api.refused("definition/ignore", method="POST", body=body)
    assert (status, "data/gone.csv" in answer["message"]) == (404, True)


async def test_a_detignore_that_leads_out_of_the_root_is_not_written(api: Api, digits: Path, tmp_path: Path) -> None:
    """A link is written through, so one that leads elsewhere is refused and what it points to stays as it was."""
    outside = tmp_path / "shared.ignore"
    outside.write_text("*.log\n")
    (digits / ".detignore").unlink()
    (digits / ".detignore").symlink_to(outside)
    body = {"path": "digits", "file": "data/", "include": False, "save": False}
    status, answer = await api.refused("definition/ignore", method="POST", body=body)
    assert (status, "outside of the server's root" in answer["message"]) == (409, True)
    assert outside.read_text() == "*.log\n"

    inside = digits.parent / "shared.ignore"
    inside.write_text("*.log\n")
    (digits / ".detignore").unlink()
    (digits / ".detignore").symlink_to(inside)
    shown = await edit(api, "data/", include=False)
    await edit(api, "data/", include=False, save=True, expected_hash=shown["expected_hash"])
    assert inside.read_text() == "*.log\n/data/\n"
    assert (digits / ".detignore").is_symlink()


async def test_a_detignore_that_cannot_be_written_is_said_to_be_so(api: Api, digits: Path) -> None:
    """The effect is shown, and saving is refused with the reason; a link into a directory that is not there stops even root."""
    (digits / ".detignore").unlink()
    (digits / ".detignore").symlink_to(digits.parent / "gone/shared.ignore")
    shown = await edit(api, "data/", include=False)
    body = {"path": "digits", "file": "data/", "include": False, "save": True, "expected_hash": shown["expected_hash"]}
    status, answer = await api.refused("definition/ignore", method="POST", body=body)
    assert (status, "cannot be written" in answer["message"]) == (409, True)
    assert answer["hint"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
async def test_a_read_only_directory_is_said_to_be_so(api: Api, digits: Path) -> None:
    """Nothing is written into a directory that the server may only read, and the reason is given."""
    shown = await edit(api, "data/", include=False)
    digits.chmod(0o555)
    try:
        body = {"path": "digits", "file": "data/", "include": False, "save": True, "expected_hash": shown["expected_hash"]}
        status, answer = await api.refused("definition/ignore", method="POST", body=body)
    finally:
        digits.chmod(0o755)
    assert (status, "cannot be written" in answer["message"]) == (409, True)


@pytest.mark.parametrize(
    "body",
    [
        "no json",
        [],
        {},
        {"path": "digits"},
        {"path": "digits", "file": 5, "include": True},
        {"path": "digits", "file": "a.log", "include": "yes"},
        {"path": "digits", "file": "a.log", "include": True, "save": 1},
        {"path": "digits", "file": "a.log", "include": True, "save": True},
    ],
)
async def test_nonsense_is_400(api: Api, digits: Path, body: Any) -> None:
    """A request that is none is refused in one message, and saving without knowing what is replaced is one of those."""
    status, _ = await api.refused("definition/ignore", method="POST", body=body)
    assert status == 400
    status, _ = await api.refused("definition/ignore/undo", method="POST", body=body)
    assert status == 400
