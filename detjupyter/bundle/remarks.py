"""Remarks about files that ship although the user probably does not want it. They only inform: the rules decide."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from detjupyter.bundle.report import FileReport
from detjupyter.bundle.rules import IGNORE_FILE_NAME
from detjupyter.bundle.scanning import scan
from detjupyter.next_step import NextStep
from detjupyter.text import one_line

_GIT_IGNORE = ".gitignore"

# Names of files that usually hold passwords, tokens or private keys, as the end of a path.
_CREDENTIALS = re.compile(
    r"(?:^|/)(?:"
    r"\.env(?:\.(?!example$|sample$|template$|dist$)[^/]+)?|[^/]+\.env|[^/]+\.(?:pem|p12|pfx|ppk)|id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?"
    r"|[._]netrc|kaggle\.json|\.git-credentials|\.pypirc|application_default_credentials\.json"
    r"|\.(?:aws|ssh|kaggle)/.+|\.docker/config\.json|\.(?:cache/)?huggingface/token"
    r")$",
    re.IGNORECASE,
)
_PUBLIC_KEY = ".pub"

# Google's service accounts have a JSON file with any name.
_SERVICE_ACCOUNT = re.compile(rb'"type"\s*:\s*"service_account"')
_LARGEST_KEY_BYTES = 16_384
_MOST_JSON_FILES = 200

_MOST_COMPARED = 20_000
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Remarks:
    """Remarks about the files that ship.

    Attributes:
        sentences: One about the files that may hold credentials, one about what `.gitignore` would leave out; each only if there are some.
        credentials: The paths of the files that may hold credentials.
    """

    sentences: tuple[str, ...]
    credentials: frozenset[str]


_known: WeakKeyDictionary[FileReport, Remarks] = WeakKeyDictionary()


def remarks_on(report: FileReport) -> Remarks:
    """Return the remarks about the files of a definition. They are computed once for each report: a `.gitignore` takes another scan."""
    known = _known.get(report)
    if known is None:
        found = _credentials(report)
        known = _known[report] = Remarks((*_about_credentials(found), *_about_git_ignore(report)), frozenset(found))
    return known


def _about_credentials(paths: Sequence[str]) -> Iterator[str]:
    if paths:
        files = "1 file that ships" if len(paths) == 1 else f"{len(paths):,} files that ship"
        leaves = "leaves it out" if len(paths) == 1 else "leaves one out"
        yield f"{files} may hold credentials: {_listing(paths)}. {NextStep.EXCLUDE(one_line(paths[0]))} {leaves}."


def _credentials(report: FileReport) -> list[str]:
    """Return the paths of the files that ship and usually hold credentials, by their names or as keys of service accounts, sorted."""
    found = []
    looked_into = 0
    for path, size_bytes in report.included_sizes():
        if _CREDENTIALS.search(path) is not None and not path.endswith(_PUBLIC_KEY):
            found.append(path)
        elif path.endswith(".json") and size_bytes <= _LARGEST_KEY_BYTES and looked_into < _MOST_JSON_FILES:
            looked_into += 1
            if _is_service_account(report, path):
                found.append(path)
    return sorted(found)


def _is_service_account(report: FileReport, path: str) -> bool:
    try:
        text = (report.root if report.root.is_file() else report.root / path).read_bytes()
    except OSError:
        return False
    return _SERVICE_ACCOUNT.search(text) is not None and b'"private_key"' in text


def _about_git_ignore(report: FileReport) -> Iterator[str]:
    """Yield a sentence if there is a `.gitignore` that would leave out files that ship, and no `.detignore`."""
    root = report.root
    if root.is_file() or (root / IGNORE_FILE_NAME).exists() or report.included_files > _MOST_COMPARED:
        return
    try:
        lines = (root / _GIT_IGNORE).read_bytes()
    except OSError:
        return
    excluded = scan(root, ignore=lines).excluded
    left_out = {entry.path for entry in excluded if entry.rule is not None and entry.rule.source == IGNORE_FILE_NAME}
    affected: dict[str, int] = {}
    for path, size_bytes in report.included_sizes():
        place = next((one for one in (path, *_above(path)) if one in left_out), None)
        if place is not None:
            affected[place] = affected.get(place, 0) + size_bytes
    if affected:
        paths = sorted(affected)
        yield (
            f"Only {IGNORE_FILE_NAME} decides what ships, and there is none. `{_GIT_IGNORE}` would leave out {_count(paths)} "
            f"({sum(affected.values()):,} bytes): {_listing(paths)}. {NextStep.EXCLUDE(one_line(paths[0]))} leaves a path out."
        )


def _above(path: str) -> Iterator[str]:
    """Yield the directories above a path, each with a final ``/``."""
    for place, character in enumerate(path):
        if character == "/":
            yield path[: place + 1]


def _count(paths: Sequence[str]) -> str:
    directories = sum(path.endswith("/") for path in paths)
    files = len(paths) - directories
    parts = [f"{directories:,} {'directory' if directories == 1 else 'directories'}" if directories else ""]
    parts += [f"{files:,} {'file' if files == 1 else 'files'}" if files else ""]
    return " and ".join(part for part in parts if part)


def _listing(paths: Sequence[str]) -> str:
    more = len(paths) - _NAMED
    return ", ".join(map(one_line, paths[:_NAMED])) + (f" and {more:,} more" if more > 0 else "")
