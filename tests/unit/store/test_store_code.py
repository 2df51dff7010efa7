"""The code of runs: kept once, given back, compared."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from detjupyter.errors import CodeNotKeptError, StoreError
from detjupyter.protocol.records import RunRecord
from detjupyter.protocol.states import State
from detjupyter.store import Store, code, open_store
from detjupyter.store.code import Code, CodeSource, CodeStore
from detjupyter.store.history import Run

A, B = "a" * 64, "b" * 64
BIG = os.urandom(code.FILE_LIMIT_BYTES + 1)


def given(**contents: str | bytes) -> list[CodeSource]:
    """Return files with these contents; in the names `__` means a slash and a final `_py` means `.py`."""
    return [
        CodeSource(
            name.replace("__", "/").replace("_py", ".py"), False, len(content), content.encode() if isinstance(content, str) else content
        )
        for name, content in contents.items()
    ]


def kept(home: Path, bundle_hash: str = A, **contents: str | bytes) -> Code:
    """Keep files and return them as they come back."""
    CodeStore(home).keep(bundle_hash, given(**contents))
    return CodeStore(home).code(bundle_hash)


def objects(home: Path) -> list[Path]:
    """Return the files that hold contents."""
    return [path for path in (home / "code/objects").rglob("*") if path.is_file()]


def test_what_was_kept_comes_back(tmp_path: Path) -> None:
    """Text, bytes and nothing at all, from files and from memory; a mapping in the order of the paths."""
    (tmp_path / "f").write_bytes(b"\x00\xff" * 1000)
    odd = os.fsdecode(b"caf\xe9.txt")
    files = [
        *given(model_def_py="class A: pass\n", pkg__empty=""),
        CodeSource("data.bin", True, 2000, tmp_path / "f"),
        CodeSource(odd, False, 1, b"x"),
    ]
    CodeStore(tmp_path / "home").keep(A, files)
    code = CodeStore(tmp_path / "home").code(A)
    assert dict(code) == {odd: b"x", "data.bin": b"\x00\xff" * 1000, "model_def.py": b"class A: pass\n", "pkg/empty": b""}
    assert list(code) == list(code.paths) == sorted(code.paths)
    assert repr(code) == f"<Code {'a' * 12}: 4 files>"


def test_a_content_is_kept_once(tmp_path: Path) -> None:
    """Two bundles that share a file share its content, compressed."""
    kept(tmp_path, A, a_py="x = 1\n" * 1000, same="same")
    kept(tmp_path, B, b_py="x = 1\n" * 1000, same="same", other_py="y")
    assert len(objects(tmp_path)) == 3
    assert sum(path.stat().st_size for path in objects(tmp_path)) < 200


def test_a_bundle_that_is_known_costs_nothing(tmp_path: Path) -> None:
    """Its files are not even listed again."""

    def never() -> Iterator[CodeSource]:
        raise AssertionError("listed")
        yield

    store = CodeStore(tmp_path)
    assert not store.has(A)
    store.keep(A, given(a_py="1"))
    assert store.has(A)
    store.keep(A, never())
    assert dict(store.code(A)) == {"a.py": b"1"}


def test_a_large_file_is_kept_by_its_hash(tmp_path: Path) -> None:
    """It is listed with size and hash, and asking for its content says why there is none."""
    code = kept(tmp_path, a_py="1", weights_bin=BIG)
    assert code.paths == ("a.py", "weights_bin")
    assert dict(code) == {"a.py": b"1"}
    assert "weights_bin" not in code
    assert code.get("weights_bin") is None
    version = code.versions[1]
    assert (version.size_bytes, version.sha256) == (len(BIG), hashlib.sha256(BIG).hexdigest())
    with pytest.raises(CodeNotKeptError, match=r"only its size \(1,048,577 bytes\) and hash were") as refused:
        code["weights_bin"]
    assert isinstance(refused.value, KeyError)
    assert refused.value.hint
    with pytest.raises(CodeNotKeptError, match=r"This code has no file 'b\.py'"):
        code["b.py"]
    assert repr(code) == f"<Code {'a' * 12}: 1 file, 1 by hash only>"


def test_of_a_bundle_that_is_too_large_code_is_kept_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images that come first by name do not crowd out the code, nor does their number."""
    images = {f"img{n}_png": bytes([n]) * 500 for n in range(20)}
    monkeypatch.setattr(code, "BUNDLE_LIMIT_BYTES", 3000)
    bytes_bound = kept(tmp_path, A, **images, z_py="1" * 900)
    assert set(bytes_bound) == {"z.py", "img0_png", "img10_png", "img11_png", "img12_png"}
    monkeypatch.setattr(code, "BUNDLE_LIMIT_FILES", 2)
    number_bound = kept(tmp_path, B, **images, z_py="1" * 900)
    assert set(number_bound) == {"z.py", "img0_png"}
    assert len(number_bound.paths) == 21


def test_files_that_cannot_be_read_are_listed(tmp_path: Path) -> None:
    """A file that vanished or became a pipe neither fails nor blocks the rest."""
    os.mkfifo(tmp_path / "pipe")
    sources = [CodeSource("gone.py", False, 7, tmp_path / "gone"), CodeSource("pipe", False, 0, tmp_path / "pipe"), *given(a_py="1")]
    CodeStore(tmp_path).keep(A, sources)
    code = CodeStore(tmp_path).code(A)
    assert code.paths == ("a.py", "gone.py", "pipe")
    with pytest.raises(CodeNotKeptError, match="it could not be read"):
        code["gone.py"]


def test_code_is_written_back_as_files(tmp_path: Path) -> None:
    """With the execute bit, and the paths without content are named; a directory that holds something is left alone."""
    CodeStore(tmp_path).keep(A, [*given(pkg__a_py="1", weights=BIG), CodeSource("run.sh", True, 2, b"#!")])
    code = CodeStore(tmp_path).code(A)
    assert code.write(tmp_path / "out") == ("weights",)
    assert {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*")} == {"pkg", "pkg/a.py", "run.sh"}
    assert os.access(tmp_path / "out/run.sh", os.X_OK)
    assert not os.access(tmp_path / "out/pkg/a.py", os.X_OK)
    with pytest.raises(StoreError, match="out is not empty"):
        code.write(tmp_path / "out")
    with pytest.raises(StoreError, match="cannot be written"):
        code.write(tmp_path / "out/run.sh/below")


# --- damage -----------------------------------------------------------------------------------------------------------------------


def test_code_that_was_not_kept_is_said(tmp_path: Path) -> None:
    """Runs of before, and runs whose disk was full."""
    with pytest.raises(StoreError, match="was not stored") as missing:
        CodeStore(tmp_path).code(A)
    assert missing.value.hint
    for name in ("", "../../etc/passwd", "a/b"):
        with pytest.raises(StoreError, match="is not the hash of a bundle"):
            CodeStore(tmp_path).code(name)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"format": 99, "files": []}',
        b'{"format": 1, "files": [["a.py"]]}',
        b'{"format": 1, "files": [["../x", false, 1, null, false]]}',
        b'{"format": 1, "files": [["/etc/x", false, 1, null, false]]}',
        b'{"format": 1, "files": [["a", false, 1, "../../x", true]]}',
    ],
)
def test_a_damaged_list_is_said(tmp_path: Path, content: bytes) -> None:
    """With the file to delete; nothing of it is believed."""
    kept(tmp_path, a_py="1")
    listing = tmp_path / f"code/snapshots/{A}.json"
    listing.write_bytes(content)
    with pytest.raises(StoreError, match="damaged") as damaged:
        CodeStore(tmp_path).code(A)
    assert damaged.value.path == str(listing)
    assert "Delete that file" in str(damaged.value)
    listing.unlink()
    assert dict(kept(tmp_path, a_py="1")) == {"a.py": b"1"}


@pytest.mark.parametrize("content", [b"", b"nonsense", None, "another"])
def test_a_damaged_content_is_said(tmp_path: Path, content: bytes | str | None) -> None:
    """Incomplete, replaced or deleted: no wrong byte is returned, and the other files are."""
    code = kept(tmp_path, a_py="1" * 100, b_py="2")
    place = tmp_path / "code/objects" / code.versions[0].sha256[:2] / code.versions[0].sha256[2:]  # type: ignore[index]
    if content is None:
        place.unlink()
    elif isinstance(content, str):
        place.write_bytes(next(path for path in objects(tmp_path) if path != place).read_bytes())
    else:
        place.write_bytes(content)
    with pytest.raises(StoreError, match=r"content of 'a\.py' (is damaged|cannot be read)") as damaged:
        code["a.py"]
    assert damaged.value.path == str(place)
    assert code["b.py"] == b"2"


@pytest.mark.parametrize("lost", ["everything", "contents"])
def test_code_that_was_deleted_is_kept_again(tmp_path: Path, lost: str) -> None:
    """A live session still has the code: reading a deleted content stores it again."""
    files = given(model_def_py="class A: pass\n", other_py="x = 1\n")
    store = CodeStore(tmp_path)
    store.keep(A, files)
    code = store.code(A, lambda: store.keep(A, files))
    shutil.rmtree(tmp_path / "code" if lost == "everything" else tmp_path / "code" / "objects")
    assert dict(code) == {"model_def.py": b"class A: pass\n", "other.py": b"x = 1\n"}
    assert dict(store.code(A)) == dict(code)


def test_an_edited_file_is_not_kept_in_place_of_the_old_one(tmp_path: Path) -> None:
    """A repaired content has the hash in the list; other contents are reported as missing."""
    store = CodeStore(tmp_path)
    store.keep(A, given(model_def_py="class A: pass\n", other_py="x = 1\n"))
    shutil.rmtree(tmp_path / "code" / "objects")
    store.keep(A, given(model_def_py="class A: pass\n", other_py="x = 2\n"))
    assert store.code(A)["model_def.py"] == b"class A: pass\n"
    with pytest.raises(StoreError, match="cannot be read"):
        store.code(A)["other.py"]


def test_a_disk_that_takes_nothing_raises_one_error(tmp_path: Path) -> None:
    """The caller logs it and trains on; half a snapshot is none."""
    (tmp_path / "code").write_text("in the way")
    with pytest.raises(StoreError, match="The code of this run cannot be stored") as failed:
        CodeStore(tmp_path).keep(A, given(a_py="1"))
    assert failed.value.hint
    script = """
import resource, signal, sys
from pathlib import Path
from detjupyter.errors import CodeNotKeptError, StoreError
from detjupyter.store.code import CodeSource, CodeStore
import os
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
store = CodeStore(Path(sys.argv[1]))
try:
    store.keep("a" * 64, [CodeSource("a.py", False, 1, b"1"), CodeSource("b", False, 50_000, os.urandom(50_000))])
except StoreError as error:
    print(error.message, store.has("a" * 64))
"""
    process = subprocess.run([sys.executable, "-c", script, str(tmp_path / "full")], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "The code of this run cannot be stored: File too large. False"
    assert not list(tmp_path.rglob("*.partial"))


def keep_many(home: str, first: int) -> None:
    """Store a few bundles that share contents (in a separate process)."""
    for number in range(30):
        files = [CodeSource(f"f{n}.py", False, 4, f"{n:04d}".encode()) for n in range(number, number + 20)]
        CodeStore(Path(home)).keep(f"{(number + first) % 30:064d}", files if first == 0 else list(reversed(files)))


def test_several_processes_keep_at_once(tmp_path: Path) -> None:
    """In any order, every list is complete and every content correct."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=keep_many, args=(str(tmp_path), 0)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    for number in range(30):
        code = CodeStore(tmp_path).code(f"{number:064d}")
        assert dict(code) == {f"f{n}.py": f"{n:04d}".encode() for n in range(number, number + 20)}
    assert not list(tmp_path.rglob("*.partial"))


# --- differences ------------------------------------------------------------------------------------------------------------------


def test_a_diff_names_files_and_shows_lines(tmp_path: Path) -> None:
    """From the first to the second: added, removed, changed, and the changed lines the way `diff -u` shows them."""
    before = kept(tmp_path, A, model_def_py="a\nb\nc\n", old_py="gone\n", same_py="s")
    after = kept(tmp_path, B, model_def_py="a\nB\nc\n", new_py="come", same_py="s")
    diff = before.diff(after)
    assert (diff.added, diff.removed, diff.changed) == (("new.py",), ("old.py",), ("model_def.py",))
    assert str(diff).splitlines() == [
        "--- model_def.py",
        "+++ model_def.py",
        "@@ -1,3 +1,3 @@",
        " a",
        "-b",
        "+B",
        " c",
        "--- /dev/null",
        "+++ new.py",
        "@@ -0,0 +1 @@",
        "+come",
        "\\ No newline at end of file",
        "--- old.py",
        "+++ /dev/null",
        "@@ -1 +0,0 @@",
        "-gone",
    ]
    assert repr(diff) == "<CodeDiff: 1 added, 1 removed, 1 changed>"
    same = before.diff(before)
    assert not same
    assert str(same) == "Nothing differs."


def test_what_is_no_text_or_not_kept_differs_by_size(tmp_path: Path) -> None:
    """Also a mode, a file of another encoding, and one too long to compare."""
    other = os.urandom(code.FILE_LIMIT_BYTES + 2)
    long_before, long_after = "a\n" * 15_000, "b\n" * 15_000
    before = kept(tmp_path, A, image=b"\0\1", latin=b"caf\xe9", weights=BIG, long=long_before)
    after = kept(tmp_path, B, image=b"\0\1\2", latin=b"caf\xe8", weights=other, long=long_after)
    assert str(before.diff(after)).splitlines() == [
        "image: 2 bytes → 3 bytes (not text)",
        "latin: 4 bytes → 4 bytes (not text)",
        "long: 30,000 bytes → 30,000 bytes (too long to compare line by line)",
        "weights: 1,048,577 bytes → 1,048,578 bytes (the content is not stored)",
    ]
    CodeStore(tmp_path).keep("c" * 64, [CodeSource("image", True, 2, b"\0\1")])
    assert "image: now executable" in str(before.diff(CodeStore(tmp_path).code("c" * 64)))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A history."""
    fresh = open_store(tmp_path / "runs.sqlite")
    yield fresh
    fresh.close()


def run_of(store: Store, run_id: str, **changes: Any) -> Run:
    """Add a run to the history."""
    record = RunRecord(
        id=run_id, state=State.FINISHED, entrypoint="model_def:T", definition="d", definition_root="/d", framework="pytorch", device="cpu",
        seed=1, hyperparameters={"lr": 0.1, "net": {"width": 8}}, config={"searcher": {"metric": "loss"}}, bundle_hash=A, kernel_id=None,
        host="h", pid=1, created_at=10.0, updated_at=10.0, ended_at=11.0, batches_trained=5, best=None, session=None,
    )  # fmt: skip
    store.create_run(replace(record, **changes))
    return Run(store, run_id)


def test_a_run_gives_its_code_back(store: Store) -> None:
    """The files of the bundle that it began with, stored next to the history."""
    CodeStore(store.home).keep(A, given(model_def_py="1"))
    assert dict(run_of(store, "r1").code) == {"model_def.py": b"1"}
    with pytest.raises(StoreError, match="was not stored"):
        run_of(store, "r2", bundle_hash=B).code  # noqa: B018


def test_a_run_knows_the_versions_that_reloads_brought(store: Store) -> None:
    """The first from its beginning, each later one from the batch of its reload; each batch has its code."""
    kept(store.home, A, a_py="1")
    kept(store.home, B, a_py="2")
    run = run_of(store, "r1")
    store.append_event("r1", {"kind": "state", "at": 11.0})
    store.append_event("r1", {"kind": "code", "at": 12.0, "batches_trained": 3, "bundle_hash": B, "load": 1})
    assert run.code_versions == [(0, 10.0, A, 0), (3, 12.0, B, 1)]
    assert [run.code_after(n)["a.py"] for n in (0, 2, 3, 100)] == [b"1", b"1", b"2", b"2"]


def test_two_runs_are_compared_in_code_and_values(store: Store) -> None:
    """Hyperparameters by dotted names, the configuration without saying the same twice, seed and device, and the code."""
    kept(store.home, A, a_py="1\n")
    kept(store.home, B, a_py="2\n")
    one = run_of(store, "r1", config={"hyperparameters": {"lr": 0.1}, "searcher": {"metric": "loss"}})
    two = run_of(
        store, "r2", bundle_hash=B, seed=2, hyperparameters={"lr": 0.2, "net": {"depth": 1}},
        config={"hyperparameters": {"lr": 0.2}, "searcher": {"metric": "error"}},
    )  # fmt: skip
    diff = one.diff(two)
    assert [str(change) for change in diff.settings] == [
        "seed: 1 → 2",
        "lr: 0.1 → 0.2",
        "net.width: 8 → (not set)",
        "net.depth: (not set) → 1",
        "config.searcher.metric: 'loss' → 'error'",
    ]
    assert diff.changed == ("a.py",)
    assert str(diff).endswith("@@ -1 +1 @@\n-1\n+2")
    assert not one.diff(one)


def test_runs_without_code_are_still_compared(store: Store) -> None:
    """The values are, and a note says what is missing; a reload is noted too."""
    one, two = run_of(store, "r1"), run_of(store, "r2", bundle_hash=B, device="cuda:0")
    store.append_event("r2", {"kind": "code", "at": 12.0, "batches_trained": 3, "bundle_hash": A})
    diff = one.diff(two)
    assert [str(change) for change in diff.settings] == ["device: 'cpu' → 'cuda:0'"]
    assert "r2 continued with edited code after batch 3" in diff.notes[0]
    assert "cannot be compared" in diff.notes[1]
    assert "was not stored" in str(diff)


def test_deleting_a_run_leaves_the_code_to_the_others(store: Store) -> None:
    """Contents are shared, so none is deleted."""
    kept(store.home, A, a_py="1")
    run_of(store, "r1")
    other = run_of(store, "r2")
    store.delete_run("r1")
    assert dict(other.code) == {"a.py": b"1"}
