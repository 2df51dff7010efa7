"""A definition that was packed is a definition again."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path

import pytest

from detjupyter.bundle import archive
from detjupyter.definition import ModelDefinition
from detjupyter.errors import DefinitionError, DefinitionNotFoundError

TOY = (
    "from detjupyter.definition.trial import Trial\nimport data\n\nclass ToyTrial(Trial):\n    framework = 'toy'\n    value = data.VALUE\n"
)


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an archive of a definition whose `.detignore` leaves a file out."""
    monkeypatch.setenv("DETJUPYTER_HOME", str(tmp_path / "home"))
    root = tmp_path / "toy"
    root.mkdir()
    for name, text in {"model_def.py": TOY, "data.py": "VALUE = 7\n", "secret.txt": "x", ".detignore": "secret.txt\n"}.items():
        (root / name).write_text(text)
    return ModelDefinition(root).archive(tmp_path / "shipped.tar.gz").path


def test_it_is_read_back_with_exactly_what_shipped(packed: Path, tmp_path: Path) -> None:
    """The same files, the same hash, a name after the archive, and it loads."""
    back = ModelDefinition(packed)
    assert [entry.path for entry in back.files()] == ["data.py", "model_def.py"]
    assert back.files().hash == ModelDefinition(tmp_path / "toy").files().hash
    assert (back.name, back.is_file) == ("shipped", False)
    loaded = back.load()
    assert (str(loaded.entrypoint), loaded.trial_class.value) == ("model_def:ToyTrial", 7)  # type: ignore[attr-defined]
    loaded.scope.release()


def test_it_is_unpacked_once_for_each_content(packed: Path, tmp_path: Path) -> None:
    """The same bytes give the same directory next to the history, other bytes another one; no incomplete directory is left."""
    first = ModelDefinition(packed).path
    assert ModelDefinition(packed).path == first
    (tmp_path / "toy/data.py").write_text("VALUE = 8\n")
    again = ModelDefinition(ModelDefinition(tmp_path / "toy").archive(packed).path)
    assert again.path != first
    assert (first / "data.py").read_text() == "VALUE = 7\n"
    assert not list((tmp_path / "home").rglob(".partial*"))


def test_two_may_unpack_it_at_the_same_time(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that finishes second uses what the first has unpacked, and leaves nothing."""
    extract, first = archive.extract_archive, []

    def extract_second(path: Path, target: Path) -> None:
        monkeypatch.setattr(archive, "extract_archive", extract)
        first.append(ModelDefinition(packed).path)
        extract(path, target)

    monkeypatch.setattr(archive, "extract_archive", extract_second)
    assert ModelDefinition(packed).path == first[0]
    assert (first[0] / "data.py").read_text() == "VALUE = 7\n"
    assert not list((tmp_path / "home").rglob(".partial*"))


def test_what_is_no_archive_of_a_definition_is_one_error(packed: Path, tmp_path: Path) -> None:
    """A text with that name, an incomplete archive, a member with `..`: each is named, and nothing is unpacked."""
    (tmp_path / "text.tar.gz").write_text("no archive")
    with pytest.raises(DefinitionNotFoundError, match=r"'.*text\.tar\.gz' is not a \.py file and not an archive"):
        ModelDefinition(tmp_path / "text.tar.gz")
    (tmp_path / "torn.tar.gz").write_bytes(packed.read_bytes()[:700])
    with pytest.raises(DefinitionError):
        ModelDefinition(tmp_path / "torn.tar.gz")
    with gzip.open(tmp_path / "evil.tar.gz", "wb") as file, tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../outside.py"))
    with pytest.raises(DefinitionError, match=r"\.\./outside\.py"):
        ModelDefinition(tmp_path / "evil.tar.gz")
    assert not list((tmp_path / "home").rglob("*.py"))
    assert not list(tmp_path.rglob("outside.py"))
