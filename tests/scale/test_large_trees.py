"""Directories of very many files, and archives of very large ones."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.file_rows import Rows, file, report

from detjupyter.bundle import FileEntry, Rule, scan
from detjupyter.bundle.archive import ArchiveReport, write_archive
from detjupyter.errors import DefinitionError
from detjupyter.widgets.file_tree import file_tree_bundle


def make(root: Path, **contents: str) -> Path:
    """Write files; a final `_py` in a name becomes `.py`."""
    root.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (root / name.replace("_py", ".py")).write_text(content)
    return root


def pack(root: Path, target: Path, *, oversize: bool = False) -> ArchiveReport:
    """Pack a tree as it is now."""
    return write_archive(scan(root), target, oversize=oversize)


def test_a_folder_of_many_files_is_taken_in_pieces(tmp_path: Path) -> None:
    """Nothing is lost or doubled where one piece ends, and the totals are right without a list of all."""
    for number in range(9001):
        os.close(os.open(f"{tmp_path}/{number:05d}.{'csv' if number % 3 else 'py'}", os.O_CREAT))
    (tmp_path / "12.py").write_text("123")
    report = scan(tmp_path, ignore=b"*.csv\n!00001.csv\n")
    assert (report.included_files, report.excluded_entries, report.total_bytes) == (3003, 5999, 3)
    assert len({entry.path for entry in report}) == len(report) == 9002
    assert [entry.path for entry in report][:3] == ["00000.py", "00001.csv", "00002.csv"]
    assert report.find("00001.csv") == FileEntry("00001.csv", "file", 0, included=True, rule=Rule(".detignore", 2, "!00001.csv"))


def test_more_than_an_upload_may_hold_is_refused_unless_asked_for(tmp_path: Path) -> None:
    """Nothing is written, and an archive of before stays; with oversize it is packed."""
    root = make(tmp_path / "d", a_py="a")
    before = pack(root, tmp_path / "out.tar.gz").sha256
    with (root / "big.bin").open("wb") as file:
        file.truncate(99_614_720)
    with pytest.raises(DefinitionError, match="99,614,721 bytes would ship; the limit of an upload is 99,614,720") as refused:
        pack(root, tmp_path / "out.tar.gz")
    assert refused.value.hint is not None
    assert hashlib.sha256((tmp_path / "out.tar.gz").read_bytes()).hexdigest() == before
    assert list(tmp_path.glob("*.partial")) == list(tmp_path.glob(".*.partial")) == []
    (root / "a.py").unlink()
    assert pack(root, tmp_path / "exact.tar.gz").total_bytes == 99_614_720
    (root / "a.py").write_text("a")
    assert pack(root, tmp_path / "out.tar.gz", oversize=True).total_bytes == 99_614_721


def test_packing_a_large_tree_keeps_little_in_memory(tmp_path: Path) -> None:
    """90 MB are packed, and unpacked, by a process whose peak grows by a few megabytes."""
    make(tmp_path / "small", a_py="a")
    root = make(tmp_path / "d", a_py="a")
    with (root / "big.bin").open("wb") as file:
        file.truncate(90_000_000)
    code = """
import resource, sys
from pathlib import Path
from detjupyter.bundle import scan
from detjupyter.bundle.archive import extract_archive, write_archive
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
root, target = Path(sys.argv[1]), Path(sys.argv[2])
write_archive(scan(root / "small"), target / "small.tar.gz")
before = peak()
write_archive(scan(root / "d"), target / "out.tar.gz")
extract_archive(target / "out.tar.gz", target / "back")
print(peak() - before)
"""
    process = subprocess.run([sys.executable, "-c", code, str(tmp_path), str(tmp_path)], capture_output=True, text=True, check=True)
    assert int(process.stdout) < 30_000  # KiB
    assert (tmp_path / "back/big.bin").stat().st_size == 90_000_000


@pytest.mark.parametrize(
    "paths",
    [
        [f"{index:06}.jpg" for index in range(30_000)],
        [f"d/{index:06}.jpg" for index in range(30_000)],
        [f"d/{index % 997:03}/{index:06}.jpg" for index in range(30_000)],
        [f"d/{index:06}/x.jpg" for index in range(30_000)],
        ["a/" * depth + "x.py" for depth in range(1000)],
    ],
    ids=["at the top", "in one folder", "in many folders", "in a folder each", "in very deep folders"],
)
def test_a_tree_of_very_many_paths_stays_small(paths: list[str]) -> None:
    """For any shape, at most 2,000 paths and 500 folders have rows; every path is counted, in a total or as not listed."""
    bundle = file_tree_bundle(report(*(file(path, 1) for path in paths)), "big")
    rows = [text for _, text in Rows(bundle["text/html"]).rows]
    assert 50 < len(rows) <= 2500
    assert sum(not text.split(" ")[0].endswith("/") for text in rows) <= 2000
    assert len(bundle["text/html"]) < 400_000
    assert f"{len(paths):,}" + " files ship" in bundle["text/plain"]
