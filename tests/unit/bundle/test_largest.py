from __future__ import annotations

from pathlib import Path

from detjupyter.bundle import FileEntry, FileReport, folder_sizes, largest_items


def report(**sizes: int) -> FileReport:
    """Return a report of files of these sizes; ``__`` means a slash."""
    return FileReport(Path("/there"), [FileEntry(path.replace("__", "/"), "file", size, True, None) for path, size in sizes.items()])


def test_folders_sum_what_ships_below_them() -> None:
    """Bytes and files count in every folder above, and what stays counts nowhere."""
    files = [*report(a=1, p__b=10, p__q__c=100), FileEntry("p/left", "file", 1000, False, None)]
    assert folder_sizes(FileReport(Path("/there"), files)) == {"": (111, 3), "p/": (110, 2), "p/q/": (100, 1)}


def test_the_deepest_folder_that_holds_most_is_named() -> None:
    """Of `runs/2024/event/a, b` it names `runs/2024/event/`."""
    found = largest_items(report(runs__2024__event__a=400, runs__2024__event__b=500, runs__notes=10, src__m=5, big=600))
    assert [(item.path, item.size_bytes, item.files) for item in found] == [
        ("runs/2024/event/", 900, 2),
        ("big", 600, 1),
        ("src/m", 5, 1),
    ]


def test_one_file_that_is_most_of_a_folder_is_named_itself() -> None:
    """Not the folder around it."""
    assert [item.path for item in largest_items(report(data__train=900, data__x=20, data__y=30))] == ["data/train"]


def test_only_so_many_are_named_and_none_that_weighs_nothing() -> None:
    """The biggest first."""
    many = report(**{f"f{number}": number for number in range(20)})
    assert [item.path for item in largest_items(many, n=3)] == ["f19", "f18", "f17"]
    assert largest_items(report(empty=0)) == []
