"""The tree of `%det_files`: sums, order, search, marks, links, bounds."""

from __future__ import annotations

import json
import re

import pytest
from support.file_rows import Rows, file, report

from detjupyter.bundle import FileEntry, Rule
from detjupyter.widgets.file_tree import FileTree, TreeOptions, file_tree_bundle

LOGS = Rule(".detignore", 2, "*.log")
DATA = Rule(".detignore", 1, "data/")
EVIL = "<img src=x onerror=alert(1)>&\x1b[31m"


def names(bundle: dict[str, str]) -> list[str]:
    """Return the names in the rows of the HTML, from the top."""
    return [text.split(" ")[0] for _, text in Rows(bundle["text/html"]).rows]


SOME = report(
    file("a.py", 10),
    file("data/", 0, DATA),
    file("nets/deep/layers.py", 3000),
    file("nets/small.py", 500),
    file("run.log", 7, LOGS),
    file("weights.bin", 2000),
)


def test_folders_have_the_sums_of_all_that_is_below_them() -> None:
    """Bytes and files at every depth, in both forms."""
    bundle = file_tree_bundle(SOME, "mine")
    rows = dict(re.split(r"\s+", text, maxsplit=1) for _, text in Rows(bundle["text/html"]).rows)
    assert rows["nets/"] == "2 files 3.5 kB"
    assert rows["deep/"] == "1 file 3.0 kB"
    assert re.search(r"^  nets/ +3\.5 kB$", bundle["text/plain"], re.MULTILINE)
    assert re.search(r"^    deep/ +3\.0 kB$", bundle["text/plain"], re.MULTILINE)


def test_rows_are_ordered_by_name_or_biggest_first() -> None:
    """By name, folders come before files; by size, they are mixed, and paths that are left out come last."""
    assert names(file_tree_bundle(SOME, "mine")) == ["nets/", "deep/", "layers.py", "small.py", "a.py", "data/", "run.log", "weights.bin"]
    biggest = names(file_tree_bundle(SOME, "mine", TreeOptions(biggest=True)))
    assert biggest == ["nets/", "deep/", "layers.py", "small.py", "weights.bin", "a.py", "run.log", "data/"]


def test_a_search_keeps_matching_paths_and_their_folders() -> None:
    """In any case of letters; folders are open, and the totals are those of the found paths."""
    bundle = file_tree_bundle(SOME, "mine", TreeOptions(find="LAYERS"))
    assert names(bundle) == ["nets/", "deep/", "layers.py"]
    assert Rows(bundle["text/html"]).open == ["nets", "deep"]
    for form in bundle.values():
        assert "1 path contains 'LAYERS': 1 ships, 3.0 kB." in form.replace("&#39;", "'")
    assert names(file_tree_bundle(SOME, "mine", TreeOptions(find="nets/"))) == ["nets/", "deep/", "layers.py", "small.py"]


def test_a_search_that_finds_nothing_says_so() -> None:
    """And names the option that looks further."""
    bundle = file_tree_bundle(SOME, "mine", TreeOptions(find="zzz"))
    assert names(bundle) == []
    assert "No path contains 'zzz'. With `--all`, directories" in bundle["text/plain"]


def test_a_path_that_a_line_takes_back_names_that_line() -> None:
    """Why it ships is as interesting as why another one stays; and a link says what ships of it."""
    kept = file("keep.log", 5, Rule(".detignore", 3, "!keep.log"), included=True)
    link = FileEntry("alias.py", "symlink", 5, True, None)
    for form in file_tree_bundle(report(kept, link), "mine").values():
        assert "kept by .detignore line 3: !keep.log" in form
        assert "a link: its target ships" in form


def test_a_directory_that_was_looked_into_although_it_is_left_out_has_one_row() -> None:
    """With the rule that leaves it out."""
    bundle = file_tree_bundle(report(file("data/", 0, DATA), file("data/x.csv", 9, DATA), file("a.py")), "mine")
    assert [name for name in names(bundle) if name == "data/"] == ["data/"]
    assert re.search(r"^  - data/ +nothing ships  \.detignore line 1: data/$", bundle["text/plain"], re.MULTILINE)


def test_paths_that_determined_decides_otherwise_about_are_marked() -> None:
    """The file itself, the directory that is left out as a whole, and the folders above; a line says how many, and what to do."""
    marks = {"a.py": "only here", "data/x.csv": "only there", "data/sub/y.csv": "only there", "nets/deep/layers.py": "only here"}
    bundle = file_tree_bundle(SOME, "mine", TreeOptions(marks=marks))
    rows = {text.split(" ")[0]: text for _, text in Rows(bundle["text/html"]).rows}
    assert "≠ Determined leaves it out" in rows["a.py"]
    assert "≠ Determined ships 2 files of it" in rows["data/"]
    assert "≠ 1" in rows["nets/"]
    assert "≠" not in rows["small.py"]
    assert "differently about 4 paths: `%det_files --as determined`" in bundle["text/plain"]
    assert "≠" not in file_tree_bundle(SOME, "mine", TreeOptions(marks={}))["text/plain"]


def test_marks_of_what_a_search_hides_do_not_count() -> None:
    """A folder never counts a mark that none of its rows can show."""
    bundle = file_tree_bundle(SOME, "mine", TreeOptions(find="x.csv", marks={"data/x.csv": "only there"}))
    assert "≠" not in bundle["text/plain"]


def test_names_are_links_as_seen_from_the_notebook() -> None:
    """Relative and quoted; neither directories nor hidden files, which JupyterLab does not open."""
    files = report(file("a b/c#d?.py"), file(".detjupyter/x.py"), file("data/", 0, DATA))
    assert Rows(file_tree_bundle(files, "m", TreeOptions(links="my nets/"))["text/html"]).links == {
        "c#d?.py": "my%20nets/a%20b/c%23d%3F.py"
    }
    assert Rows(file_tree_bundle(files, "m", TreeOptions(links=""))["text/html"]).links == {"c#d?.py": "a%20b/c%23d%3F.py"}
    assert Rows(file_tree_bundle(files, "m")["text/html"]).links == {}


@pytest.mark.parametrize(("size_bytes", "named"), [(79_000_000, False), (80_000_000, True), (120_000_000, True)])
def test_near_the_limit_what_weighs_most_is_named(size_bytes: int, named: bool) -> None:
    """From 80% of the limit; entries of negligible size are not listed."""
    files = report(file("weights/resnet/best.bin", size_bytes), file("a.py", 10))
    text = file_tree_bundle(files, "mine")["text/plain"]
    assert ("Largest: weights/resnet/best.bin" in text) == named
    assert "a.py (" not in text
    assert ("over the limit. Largest" in text) == (size_bytes > 99_614_720)


def test_of_too_many_the_heavy_folders_stay_open_and_others_keep_their_sums() -> None:
    """A folder with many small files does not take the rows of a larger one."""
    many = [file(f"many/{index:05}/tiny.txt", 1) for index in range(5000)]
    heavy = [file(f"zoo/{index}/heavy.bin", 1_000_000) for index in range(5)]
    bundle = file_tree_bundle(report(*many, *heavy), "big")
    rows = [text for _, text in Rows(bundle["text/html"]).rows]
    assert sum("heavy.bin" in text for text in rows) == 5
    assert any(text.startswith("many/") and "5,000 files" in text for text in rows)
    hidden = re.search(r"and ([\d,]+) more paths in many/, counted but not listed: `--find`", bundle["text/plain"])
    assert hidden is not None
    listed = sum(re.fullmatch(r"\d{5}/", text.split(" ")[0]) is not None for text in rows)  # a folder of one file each
    assert listed + int(hidden[1].replace(",", "")) == 5000


def test_a_folder_of_very_many_big_files_leaves_rows_to_the_code() -> None:
    """However much heavier it is."""
    images = [file(f"images/{index:05}.jpg", 1_000_000) for index in range(5000)]
    code = [file(f"nets/deep/{index:02}.py", 10) for index in range(20)]
    assert file_tree_bundle(report(*images, *code), "big")["text/plain"].count(".py") == 20


def test_nothing_of_a_name_becomes_markup_and_no_byte_is_lost_to_json() -> None:
    """Names that are markup, contain terminal colors or are not UTF-8."""
    files = report(file(f"{EVIL}.py"), file("caf\udce9.py"), file("x.log", 1, Rule(".detignore", 1, "\udcff*")))
    bundle = file_tree_bundle(files, EVIL, TreeOptions(links="", marks={f"{EVIL}.py": "only here"}, notes=(EVIL,)))
    assert "img" not in Rows(bundle["text/html"]).tags
    json.dumps(bundle, ensure_ascii=False).encode("utf-8")
    assert "caf\ufffd.py" in bundle["text/plain"]


def test_the_result_of_the_magic_shows_its_tree_and_keeps_the_report() -> None:
    """One object for both: the display, and the report for a program."""
    tree = FileTree(SOME, "mine", TreeOptions(biggest=True))
    assert tree._repr_mimebundle_() == file_tree_bundle(SOME, "mine", TreeOptions(biggest=True))
    assert tree.report.total_bytes == 5510
