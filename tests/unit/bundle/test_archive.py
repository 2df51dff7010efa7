"""Archives: the same bytes everywhere, and nothing outside when they are unpacked."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from detjupyter.bundle import scan
from detjupyter.bundle.archive import ArchiveReport, extract_archive, is_archive, write_archive
from detjupyter.bundle.tarball import Tarball
from detjupyter.errors import DefinitionError


def make(root: Path, **contents: str | bytes) -> Path:
    """Write files; in the names `__` means a slash and a final `_py` means `.py`."""
    for name, content in contents.items():
        path = root / name.replace("__", "/").replace("_py", ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def pack(root: Path, target: Path, *, oversize: bool = False) -> ArchiveReport:
    """Pack a tree as it is now."""
    return write_archive(scan(root), target, oversize=oversize)


def tree(root: Path) -> dict[str, tuple[bytes, bool]]:
    """Return the files below a directory: contents, and whether the owner may execute them."""
    return {
        path.relative_to(root).as_posix(): (path.read_bytes(), bool(path.stat().st_mode & 0o100))
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_a_tree_comes_back_as_it_was(tmp_path: Path) -> None:
    """Names, contents and the execute bit survive; what does not ship is not there; the report tells what was packed."""
    root = make(tmp_path / "digits", model_def_py="class A: pass\n", pkg__nets_py="x = 1\n", run_sh="#!/bin/sh\n", empty="", log="no")
    (root / "run_sh").chmod(0o700)
    (root / ".detignore").write_text("log\n")
    report = pack(root, tmp_path / "out.tar.gz")
    names = extract_archive(tmp_path / "out.tar.gz", tmp_path / "back")
    assert names == ["empty", "model_def.py", "pkg/nets.py", "run_sh"]
    assert tree(tmp_path / "back") == {name: content for name, content in tree(root).items() if name in names}
    assert (report.files, report.total_bytes, report.left_out) == (4, scan(root).total_bytes, ())
    data = (tmp_path / "out.tar.gz").read_bytes()
    assert (report.path, report.size_bytes, report.sha256) == (tmp_path / "out.tar.gz", len(data), hashlib.sha256(data).hexdigest())


def test_the_hash_is_that_of_the_tree_before_and_after(tmp_path: Path) -> None:
    """The hashed content is the content of the archive, for all names and modes."""
    root = make(tmp_path / "one", a_py="a", b__c_py="c", big=os.urandom(2_500_000))
    (root / "a.py").chmod(0o755)
    (root / "数据.txt").write_text("x")
    (root / os.fsdecode(b"caf\xe9.txt")).write_text("y")
    report = pack(root, tmp_path / "out.tar.gz")
    extract_archive(tmp_path / "out.tar.gz", tmp_path / "two")
    assert report.bundle_hash == scan(root).hash == scan(tmp_path / "two").hash


def test_equal_trees_give_equal_bytes(tmp_path: Path) -> None:
    """Place, times, umask, group and world bits, and the order in which the files were made leave no trace."""
    one = make(tmp_path / "one", a_py="a", p__b_py="b", z="z")
    two = make(tmp_path / "other" / "place", z="z", p__b_py="b", a_py="a")
    for path in two.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o777 if path.is_dir() else 0o604)
    first, second = pack(one, tmp_path / "1.tar.gz"), pack(two, tmp_path / "2.tgz")
    assert (tmp_path / "1.tar.gz").read_bytes() == (tmp_path / "2.tgz").read_bytes()
    assert first.sha256 == second.sha256
    (two / "z").chmod(0o744)
    assert pack(two, tmp_path / "3.tar.gz").sha256 != first.sha256


def test_the_bytes_are_those_of_every_machine(tmp_path: Path) -> None:
    """A small tree has the same archive as when this test was written, for any clock, owner, Python (3.10 to 3.13) and zlib."""
    root = make(tmp_path / "d", model_def_py="class A: pass\n", **{"x" * 60 + "__" + "y" * 60: b"\x00\xff"})
    (root / "é").write_text("e")
    (root / "model_def.py").chmod(0o755)
    report = pack(root, tmp_path / "out.tar.gz")
    assert report.sha256 == "1d2c8de20e85adbbcf720e6ccbf1251bd85333ec53474c9196ed0323a8863e8a"


def test_no_trace_of_place_or_owner_is_in_it(tmp_path: Path) -> None:
    """Names are relative, times are zero, owners are empty, modes are one of two."""
    root = make(tmp_path / "somewhere", a_py="a", p__b_py="b")
    pack(root, tmp_path / "out.tar.gz")
    with tarfile.open(tmp_path / "out.tar.gz") as tar:
        seen = [(m.name, m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in tar]
    assert seen == [("a.py", 0, 0, 0, "", "", 0o644), ("p/b.py", 0, 0, 0, "", "", 0o644)]
    assert str(tmp_path).encode() not in gzip.decompress((tmp_path / "out.tar.gz").read_bytes())


def test_a_size_that_the_header_has_no_room_for_is_kept() -> None:
    """A header has space for 8 GiB; a larger size is in an extended header, which tar readers understand."""
    file = io.BytesIO()
    tarball = Tarball(file)
    tarball.begin(b"weights.bin", 9 << 30, executable=False)
    tarball.close()
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r|gz") as tar:
        member = tar.next()
    assert member is not None
    assert (member.name, member.size) == ("weights.bin", 9 << 30)


@pytest.mark.parametrize("length", [1, 99, 100, 101, 155, 200, 255])
def test_long_and_strange_names_survive(tmp_path: Path, length: int) -> None:
    """Names of any length, with spaces, line breaks, backslashes and bytes that are not text; Python's reader and GNU tar agree."""
    root = tmp_path / "d"
    root.mkdir()
    for name in (b"n" * length, b"caf\xe9", "数据".encode(), b"a b\nc", b"back\\slash", b" ", b"-x"):
        (root / os.fsdecode(name)).write_bytes(name)
    deep = root / ("d" * 90) / ("e" * min(length, 200))
    deep.mkdir(parents=True)
    (deep / "f").write_text("deep")
    pack(root, tmp_path / "out.tar.gz")
    extract_archive(tmp_path / "out.tar.gz", tmp_path / "ours")
    assert tree(tmp_path / "ours") == tree(root)
    (tmp_path / "gnu").mkdir()
    subprocess.run(["tar", "-xzf", "out.tar.gz", "-C", "gnu"], cwd=tmp_path, check=True, capture_output=True)
    assert tree(tmp_path / "gnu") == tree(root)


def test_symlinks_ship_as_content(tmp_path: Path) -> None:
    """As the preview says: the archive holds files only."""
    root = make(tmp_path / "d", a_py="a")
    (root / "link.py").symlink_to("a.py")
    pack(root, tmp_path / "out.tar.gz")
    extract_archive(tmp_path / "out.tar.gz", tmp_path / "back")
    assert not (tmp_path / "back/link.py").is_symlink()
    assert (tmp_path / "back/link.py").read_text() == "a"


def test_a_single_file_is_packed_alone(tmp_path: Path) -> None:
    """A definition of one file gives an archive of one file."""
    make(tmp_path, model_py="x", other_py="y")
    report = write_archive(scan(tmp_path / "model.py"), tmp_path / "out.tar.gz")
    assert extract_archive(report.path, tmp_path / "back") == ["model.py"]


def test_an_archive_does_not_swallow_itself(tmp_path: Path) -> None:
    """Written into the definition it is left out and named, and the next one has the same bytes."""
    root = make(tmp_path / "d", a_py="a")
    first = pack(root, root / "out.tar.gz")
    second = pack(root, root / "out.tar.gz")
    assert first.left_out == ()
    assert [(one.path, one.reason) for one in second.left_out] == [("out.tar.gz", "it is the archive itself")]
    assert (first.sha256, first.bundle_hash) == (second.sha256, second.bundle_hash)
    (root / "link").symlink_to("out.tar.gz")
    assert sorted(one.path for one in pack(root, root / "link.tar.gz").left_out) == []
    assert {one.path for one in pack(root, root / "out.tar.gz").left_out} == {"link", "out.tar.gz"}


def test_files_that_vanished_or_changed_kind_are_named(tmp_path: Path) -> None:
    """Files may change between the scan and the packing; the rest is packed, and a pipe does not block."""
    root = make(tmp_path / "d", a_py="a", gone="g", pipe="p")
    report = scan(root)
    (root / "gone").unlink()
    (root / "pipe").unlink()
    os.mkfifo(root / "pipe")
    packed = write_archive(report, tmp_path / "out.tar.gz")
    assert {one.path: one.reason for one in packed.left_out} == {"gone": "it vanished", "pipe": "it is no longer a regular file"}
    assert extract_archive(packed.path, tmp_path / "back") == ["a.py"]
    assert packed.bundle_hash == scan(tmp_path / "back").hash


def test_a_file_edited_since_the_scan_is_packed_as_it_is(tmp_path: Path) -> None:
    """Size and hash are of what was read, not of what was listed."""
    root = make(tmp_path / "d", a_py="a", b_py="b")
    report = scan(root)
    (root / "a.py").write_text("a much longer text")
    packed = write_archive(report, tmp_path / "out.tar.gz")
    extract_archive(packed.path, tmp_path / "back")
    assert (tmp_path / "back/a.py").read_text() == "a much longer text"
    assert packed.total_bytes == len("a much longer text") + 1


def test_a_file_that_is_cut_short_while_it_is_read_fails_the_packing(tmp_path: Path) -> None:
    """Its size is written before its content, so half of it would be wrong; no file is left behind."""
    root = make(tmp_path / "d", a_py="a")
    with (root / "log").open("wb") as file:
        file.truncate(4 << 30)  # so large that its end is far when the beginning is in the archive

    def cut() -> None:
        while not any(path.stat().st_size > 1 << 20 for path in tmp_path.glob(".*.partial")):
            time.sleep(0.001)
        os.truncate(root / "log", 1 << 20)

    with ThreadPoolExecutor(1) as pool:
        cutting = pool.submit(cut)
        with pytest.raises(DefinitionError, match="changed while it was packed: it became shorter") as failed:
            pack(root, tmp_path / "out.tar.gz", oversize=True)
        cutting.result()
    assert failed.value.path == str(root / "log")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere/out.tar.gz", "There is no directory"),
        ("directory.tar.gz", "is a directory"),
        ("model_def.py", "must end in .tar.gz or .tgz"),
        ("notes.tar.gz", "exists and is not an archive"),
        ("a.py/out.tar.gz", "There is no directory"),
    ],
)
def test_a_place_that_takes_no_archive_is_said(tmp_path: Path, target: str, message: str) -> None:
    """Each error has a next step, and an existing file is not changed."""
    root = make(tmp_path / "d", a_py="a")
    (tmp_path / "notes.tar.gz").write_text("my notes")
    (tmp_path / "model_def.py").write_text("my code")
    (tmp_path / "a.py").write_text("")
    (tmp_path / "directory.tar.gz").mkdir()
    with pytest.raises(DefinitionError, match=message) as refused:
        pack(root, tmp_path / target)
    assert refused.value.hint
    assert (tmp_path / "notes.tar.gz").read_text() == "my notes"
    assert (tmp_path / "model_def.py").read_text() == "my code"
    assert not list(tmp_path.rglob("*.partial"))


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    """In a process that may write 64 KiB to a file (the nearest to a full disk that needs no rights), the archive does not appear."""
    make(tmp_path / "d", big=bytes(300_000))
    code = """
import resource, signal, sys
from pathlib import Path
from detjupyter.bundle import scan
from detjupyter.bundle.archive import write_archive
from detjupyter.errors import DefinitionError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
try:
    write_archive(scan(Path(sys.argv[1]) / "d"), Path(sys.argv[1]) / "out.tar.gz")
except DefinitionError as error:
    print(error)
"""
    process = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "out.tar.gz cannot be written: File too large" in process.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d"]


# --- unpacking --------------------------------------------------------------------------------------------------------------------


def entry(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    """Return an entry of a foreign archive."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for field, value in fields.items():
        setattr(member, field, value)
    return member, content


def foreign(path: Path, *entries: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> Path:
    """Write an archive the way another program would."""
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for member, content in entries:
            tar.addfile(member, io.BytesIO(content))
    return path


LINK = {"type": tarfile.SYMTYPE}
HARD = {"type": tarfile.LNKTYPE}


def past_the_longest_path() -> list[tuple[tarfile.TarInfo, bytes]]:
    """Return links whose goal is longer than a path may be: Python's own filter loses its way there (CVE-2025-4517)."""
    entries, deep = [], ""
    for letter in "abcdefghijklmnop":
        entries.append(entry(f"{deep}{'d' * 247}", type=tarfile.DIRTYPE))
        entries.append(entry(f"{deep}{letter}", linkname="d" * 247, **LINK))
        deep += f"{'d' * 247}/"
    far = f"{'/'.join('abcdefghijklmnop')}/{'l' * 254}"
    return [*entries, entry(far, linkname="../" * 16, **LINK), entry("out", linkname=f"{far}/..", **LINK), entry("out/evil", b"x")]


GOOD = entry("good.py", b"good")

HOSTILE = {
    "traversal": ([entry("../evil", b"x")], "../evil"),
    "traversal inside": ([entry("a/b/../../../evil", b"x")], "a/b/../../../evil"),
    "traversal that comes back": ([entry("a/../good2", b"x")], "a/../good2"),
    "absolute": ([entry("/tmp/evil", b"x")], "/tmp/evil"),
    "absolute directory": ([entry("/evil", type=tarfile.DIRTYPE)], "/evil"),
    "link outside": ([entry("out", linkname="../secret", **LINK)], "out"),
    "link to an absolute path": ([entry("out", linkname="/etc/passwd", **LINK)], "out"),
    "link to nothing": ([entry("out", linkname="", **LINK)], "out"),
    "links that lead outside together": (
        [entry("a/b/c/up", linkname="../..", **LINK), entry("out", linkname="a/b/c/up/../../secret", **LINK)],
        "out",
    ),
    "link to a directory outside, then through it": ([entry("d", linkname="..", **LINK), entry("d/evil", b"x")], "d"),
    "link to the inside, then through it": ([entry("d", linkname=".", **LINK), entry("d/evil", b"x")], "d"),
    "hard link outside": ([entry("out", linkname="../secret", **HARD)], "out"),
    "hard link to what is not there": ([entry("out", linkname="later", **HARD), entry("later", b"x")], "out"),
    "hard link to a link": ([entry("l", linkname="good.py", **LINK), entry("out", linkname="l", **HARD)], "out"),
    "device": ([entry("dev", type=tarfile.CHRTYPE, devmajor=1, devminor=3)], "dev"),
    "block device": ([entry("disk", type=tarfile.BLKTYPE)], "disk"),
    "pipe": ([entry("fifo", type=tarfile.FIFOTYPE)], "fifo"),
    "unknown kind": ([entry("what", type=b"Z")], "what"),
    "twice": ([entry("good.py", b"other")], "good.py"),
    "twice, spelled differently": ([entry("./x//y", b"1"), entry("x/y", b"2")], "x/y"),
    "a file where a directory is": ([entry("d/x", b"1"), entry("d", b"2")], "d"),
    "a directory where a file is": ([entry("good.py/x", b"2")], "good.py/x"),
    "a name too long for a disk": ([entry("n" * 300, b"2")], "nnn"),
    "no name": ([entry(".", b"2")], "."),
    "too much": ([entry("big", bytes(3 << 20))], "big"),
    "a little much, ten times": ([entry("b", bytes(300_000)), *(entry(f"h{n}", linkname="b", **HARD) for n in range(9))], "h5"),
    "hard link to itself": ([entry("out", linkname="out", **HARD)], "out"),
    "hard link to a directory": ([entry("d", type=tarfile.DIRTYPE), entry("out", linkname="d", **HARD)], "out"),
    "hard link that comes back": ([entry("out", linkname="d/../good.py", **HARD)], "d/../good.py"),
    "absolute in an extended header": ([entry("x", b"1", pax_headers={"path": "/tmp/evil"})], "/tmp/evil"),
    "traversal in an extended header": ([entry("x", b"1", pax_headers={"path": "../evil"})], "../evil"),
    "null byte in an extended header": ([entry("x", b"1", pax_headers={"path": "a\0b"})], r"a\x00b"),
    "link to a null byte": ([entry("out", linkname="x", pax_headers={"linkpath": "a\0b"}, **LINK)], "out"),
    "hard link with a null byte": ([entry("out", linkname="x", pax_headers={"linkpath": "good.py\0"}, **HARD)], "out"),
    "link outside in an extended header": ([entry("out", linkname="x", pax_headers={"linkpath": "../secret"}, **LINK)], "out"),
    "link to a name too long for a disk": ([entry("out", linkname="n" * 5000, **LINK)], "out"),
    "links in a circle": ([entry("one", linkname="two", **LINK), entry("two", linkname="one", **LINK)], "one"),
    "more links than a system follows": ([entry(f"l{n}", linkname=f"l{n + 1}", **LINK) for n in range(1500)], "l0"),
    "a size below zero": ([entry("x", pax_headers={"size": "-1"}), entry("y", b"1")], "x"),
    "a size far below zero": ([entry("x", pax_headers={"size": "-4096"}), entry("y", b"1")], "x"),
    "a size that is not there": ([entry("x", b"1", pax_headers={"size": "1000000000000"})], "x"),
    "holes (GNU)": ([entry("x", b"1", type=tarfile.GNUTYPE_SPARSE)], "x"),
    "holes (extended header)": ([entry("x", b"1", pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": "999999"})], "x"),
    "more directories than a program can enter": ([entry("a/" * 1900 + "f", b"1")], "a/a/a"),
    "directories that are entered little by little": ([entry("a/" * n + "f", b"1") for n in range(200, 2000, 200)], "a/a/a"),
    "a path past the longest of a system": (past_the_longest_path(), "a"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_refused_whole(tmp_path: Path, case: str) -> None:
    """One error names the entry; nothing is unpacked, not even what came before it, and nothing changes outside."""
    entries, named = HOSTILE[case]
    (tmp_path / "box").mkdir()
    (tmp_path / "box/secret").write_text("secret")
    archive = foreign(tmp_path / "a.tar.gz", GOOD, *entries)
    with pytest.raises(DefinitionError, match=r"a\.tar\.gz was not unpacked") as refused:
        extract_archive(archive, tmp_path / "box/in/deep", limit_bytes=2 << 20)
    assert named in refused.value.message
    assert refused.value.hint
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if "history" not in path.parts}
    assert left - {"box/in"} == {"a.tar.gz", "box", "box/secret"}
    assert (tmp_path / "box/secret").read_text() == "secret"
    assert not Path("/tmp/evil").exists()


def test_a_header_for_all_entries_is_held_to_the_same_rules(tmp_path: Path) -> None:
    """A name in a global header counts for every entry."""
    with tarfile.open(tmp_path / "a.tar", "w", pax_headers={"path": "../evil"}) as tar:
        tar.addfile(GOOD[0], io.BytesIO(GOOD[1]))
    with pytest.raises(DefinitionError, match=r"the entry \.\./evil is refused"):
        extract_archive(tmp_path / "a.tar", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar"]


def test_odd_entries_that_do_no_harm_are_unpacked(tmp_path: Path) -> None:
    """Names that differ in case or in the form of a letter, a link to nothing, a contiguous file."""
    odd = [
        entry("A.py", b"1"),
        entry("a.py", b"2"),
        entry("\u00e9.py", b"3"),
        entry("e\u0301.py", b"4"),
        entry("solid", b"5", type=tarfile.CONTTYPE),
        entry("nowhere", linkname="not/there", **LINK),
    ]
    names = extract_archive(foreign(tmp_path / "a.tar.gz", *odd), tmp_path / "out")
    assert names == sorted(member.name for member, _ in odd)
    assert {name: content for name, (content, _) in tree(tmp_path / "out").items()} == {m.name: content for m, content in odd if content}
    assert (tmp_path / "out/nowhere").readlink() == Path("not/there")


@pytest.mark.parametrize("seed", range(8))
def test_what_is_unpacked_is_what_pythons_own_filter_would_unpack(tmp_path: Path, seed: int) -> None:
    """Of random archives, each that is accepted gives the tree that `tarfile` with its `data` filter gives: never one that it refuses."""
    draw = random.Random(seed)
    names = ["a", "b", "d/a", "d/e/b", "./d", "../a", "d/../b", "/a", "d//c"]
    kinds = [tarfile.REGTYPE] * 4 + [tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE]
    accepted = 0
    for number in range(60):
        entries = [
            entry(draw.choice(names), f"{number} {n}".encode() if kind == tarfile.REGTYPE else b"", type=kind, linkname=draw.choice(names))
            for n, kind in enumerate(draw.choices(kinds, k=draw.randint(1, 4)))
        ]
        archive = foreign(tmp_path / f"{number}.tar.gz", *entries)
        ours, theirs = tmp_path / f"ours_{number}", tmp_path / f"theirs_{number}"
        try:
            extract_archive(archive, ours)
        except DefinitionError:
            continue
        accepted += 1
        with tarfile.open(archive) as tar:
            tar.extractall(theirs, filter="data")
        assert whole_tree(ours) == whole_tree(theirs)
    assert accepted >= 5


def whole_tree(root: Path) -> dict[str, str | bytes | None]:
    """Return what is below a directory: contents of files, goals of links, None for directories."""
    return {
        path.relative_to(root).as_posix(): os.path.normpath(path.readlink())
        if path.is_symlink()
        else None
        if path.is_dir()
        else path.read_bytes()
        for path in sorted(root.rglob("*"))
    }


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """Neither one of many small parts, nor one that hides in what follows the last entry, nor one in a header, gets past the bound."""
    many = foreign(tmp_path / "many.tar.gz", *[entry(f"f{n}", bytes(100_000)) for n in range(30)])
    with pytest.raises(DefinitionError, match="more than 1,000,000 bytes"):
        extract_archive(many, tmp_path / "1", limit_bytes=1_000_000)
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        tar.addfile(entry("a")[0])
    tail = tmp_path / "tail.tar.gz"
    tail.write_bytes(gzip.compress(plain.getvalue() + bytes(3_000_000)))
    with pytest.raises(DefinitionError, match="more than 1,000,000 bytes"):
        extract_archive(tail, tmp_path / "2", limit_bytes=1_000_000)
    header = tmp_path / "header.tar.gz"
    header.write_bytes(gzip.compress(entry("././@LongLink", type=b"L", size=2 << 30)[0].tobuf(tarfile.GNU_FORMAT) + bytes(1_000_000)))
    with pytest.raises(DefinitionError, match="header"):
        extract_archive(header, tmp_path / "3")
    assert not [name for name in "123" if (tmp_path / name).exists()]


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tgz", "tar.bz2", "tar.xz"])
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_archives_of_others_are_read(tmp_path: Path, suffix: str, form: int) -> None:
    """Every usual format and compression, with `./` before names, directories and links inside; owners and set-uid bits are dropped."""
    path = tmp_path / f"foreign.{suffix}"
    mode = {"tar": "w", "tgz": "w:gz"}.get(suffix, f"w:{suffix[4:]}")
    with tarfile.open(path, mode, format=form) as tar:  # type: ignore[call-overload]
        for member, content in (
            entry("./", type=tarfile.DIRTYPE, mode=0o755),
            entry("./pkg", type=tarfile.DIRTYPE, mode=0o000),
            entry("./pkg", type=tarfile.DIRTYPE, mode=0o755),
            entry("./pkg/a.py", b"a" * 512, mode=0o6755, uid=1234, uname="someone"),
            entry("./pkg/" + "l" * 90, b"long"),
            entry("./pkg/hard", linkname="./pkg/a.py", **HARD),
            entry("./link", linkname="pkg/a.py", **LINK),
            entry("./here", linkname="pkg", **LINK),
        ):
            tar.addfile(member, io.BytesIO(content))
    assert is_archive(path)
    assert extract_archive(path, tmp_path / "out") == ["here", "link", "pkg/a.py", "pkg/hard", "pkg/" + "l" * 90]
    status = (tmp_path / "out/pkg/a.py").stat()
    assert status.st_mode & 0o7700 == 0o700
    assert status.st_uid == os.getuid()
    assert (tmp_path / "out/link").read_bytes() == (tmp_path / "out/pkg/hard").read_bytes() == b"a" * 512
    assert (tmp_path / "out/here/a.py").is_file()


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut in the middle": lambda data: data[: len(data) // 2],
    "one bit": lambda data: data[:100_000] + bytes([data[100_000] ^ 1]) + data[100_001:],
    "the checksum": lambda data: data[:-8] + b"1234" + data[-4:],
    "without its end": lambda data: data[:-8],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_archive_is_said_and_leaves_nothing(tmp_path: Path, damage: str) -> None:
    """Cut off, or with one bit changed: the checksum at the end is always compared."""
    root = make(tmp_path / "d", a_py="a", big=os.urandom(300_000))
    pack(root, tmp_path / "out.tar.gz")
    (tmp_path / "out.tar.gz").write_bytes(DAMAGE[damage]((tmp_path / "out.tar.gz").read_bytes()))
    with pytest.raises(DefinitionError, match=r"out\.tar\.gz is damaged or not an archive"):
        extract_archive(tmp_path / "out.tar.gz", tmp_path / "back")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "out.tar.gz"]


@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
def test_an_archive_that_was_cut_between_two_entries_is_incomplete(tmp_path: Path, suffix: str) -> None:
    """A tar file ends with blocks of zeros; one without them misses entries, and nothing is unpacked."""
    plain = foreign(tmp_path / "plain.tar", entry("a", b"1"), entry("b", b"2"), mode="w").read_bytes()
    path = tmp_path / f"cut.{suffix}"
    for length, is_whole in ((1024, False), (2048, False), (2048 + 512, True)):
        data = plain[:length]
        path.write_bytes(gzip.compress(data) if suffix == "tar.gz" else data)
        if is_whole:
            assert extract_archive(path, tmp_path / "out") == ["a", "b"]
            continue
        with pytest.raises(DefinitionError, match=r"damaged or not an archive: it is incomplete, its end is missing"):
            extract_archive(path, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_an_archive_of_too_many_entries_is_refused(tmp_path: Path) -> None:
    """Directories count, those without an entry of their own, too; and an entry counts each time it occurs."""
    for number, entries in enumerate(
        [
            [entry(f"f{n}") for n in range(11)],
            [entry("a/" * 9 + "f"), entry("g")],
            [entry("d", type=tarfile.DIRTYPE)] * 11,
            [entry(f"d{n}", type=tarfile.DIRTYPE) for n in range(11)],
        ]
    ):
        archive = foreign(tmp_path / f"{number}.tar", *entries, mode="w")
        with pytest.raises(DefinitionError, match="with it the archive has more than 10 files and directories"):
            extract_archive(archive, tmp_path / "out", limit_entries=10)
        assert not (tmp_path / "out").exists()
        extract_archive(archive, tmp_path / f"out{number}", limit_entries=11)


def test_extended_headers_without_end_are_damage(tmp_path: Path) -> None:
    """Python's tarfile reads each of them one call deeper."""
    extended = entry("x", pax_headers={"comment": "y"})[0].tobuf(tarfile.PAX_FORMAT)[:1024]  # without the entry that it describes
    (tmp_path / "a.tar").write_bytes(extended * 5000)
    with pytest.raises(DefinitionError, match="damaged"):
        extract_archive(tmp_path / "a.tar", tmp_path / "out")


def test_a_damaged_header_in_the_middle_is_no_end(tmp_path: Path) -> None:
    """Without compression there is no checksum of the whole archive, but each header has one."""
    path = foreign(tmp_path / "plain.tar", entry("a", b"1"), entry("b", b"2"), mode="w")
    data = bytearray(path.read_bytes())
    data[1024 + 3] ^= 1  # in the name of the second
    path.write_bytes(data)
    with pytest.raises(DefinitionError, match="damaged"):
        extract_archive(path, tmp_path / "out")


def test_what_cannot_be_unpacked_into_is_said(tmp_path: Path) -> None:
    """A directory that holds something stays as it is; a missing archive is named; an empty directory will do."""
    archive = foreign(tmp_path / "a.tar.gz", GOOD)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").write_text("mine")
    with pytest.raises(DefinitionError, match="full is not empty"):
        extract_archive(archive, tmp_path / "full")
    assert (tmp_path / "full/mine").read_text() == "mine"
    with pytest.raises(DefinitionError, match="No such file") as missing:
        extract_archive(tmp_path / "none.tar.gz", tmp_path / "x")
    assert missing.value.path == str(tmp_path / "none.tar.gz")
    with pytest.raises(DefinitionError, match="cannot be unpacked"):
        extract_archive(archive, tmp_path / "full/mine")
    (tmp_path / "empty").mkdir()
    assert extract_archive(archive, tmp_path / "empty") == ["good.py"]


def test_an_archive_is_known_by_name_and_content(tmp_path: Path) -> None:
    """Neither alone is enough, and nothing but a file is one."""
    good = foreign(tmp_path / "a.tar.gz", GOOD)
    assert is_archive(good)
    shutil.copy(good, tmp_path / "A.TGZ")
    assert is_archive(tmp_path / "A.TGZ")
    shutil.copy(good, tmp_path / "a.py")
    (tmp_path / "text.tar.gz").write_text("text")
    (tmp_path / "dir.tar.gz").mkdir()
    for name in ("a.py", "text.tar.gz", "dir.tar.gz", "none.tar.gz"):
        assert not is_archive(tmp_path / name), name
