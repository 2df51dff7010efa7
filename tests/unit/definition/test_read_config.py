from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from detjupyter.definition import Config, read_config
from detjupyter.errors import ConfigError, HyperparameterError


def read(tmp_path: Path, text: str, hparams: dict[str, Any] | None = None, seed: int = 7) -> Config:
    """Write `const.yaml` and read it."""
    (tmp_path / "const.yaml").write_text(text)
    return read_config(None, tmp_path, hparams, seed)


def config_error(tmp_path: Path, text: str) -> ConfigError:
    """Read text that must be refused, and return the error."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert caught.value.path == str(tmp_path / "const.yaml")
    return caught.value


class TestWhereItIsRead:
    """A dict, a named file, or the default file."""

    def test_const_yaml_beside_the_definition(self, tmp_path: Path) -> None:
        """Without a config, `const.yaml` is read, also for a single-file definition."""
        assert read(tmp_path, "hyperparameters: {lr: 0.1}\n").path == str(tmp_path / "const.yaml")
        (tmp_path / "mnist.py").write_text("")
        assert read_config(None, tmp_path / "mnist.py", None, 0).hyperparameters == {"lr": 0.1}

    @pytest.mark.parametrize("text", ["hyperparameters: {lr: 0.1}", "entrypoint: a:T", "# x\nsearcher:\n  name: single", "'searcher': {}"])
    def test_the_only_yaml_file_that_looks_like_a_config(self, tmp_path: Path, text: str) -> None:
        """Other YAML files, hidden files and files further down are not counted; `const.yaml` has priority."""
        (tmp_path / "sub").mkdir()
        for name in ("sub/other.yaml", ".hidden.yaml"):
            (tmp_path / name).write_text("hyperparameters: {lr: 2}")
        (tmp_path / "compose.yaml").write_text("services:\n  searcher: {}\n")
        (tmp_path / "config.yml").write_text(text)
        config = read_config(None, tmp_path)
        assert (config.path, config.unread) == (str(tmp_path / "config.yml"), ())
        assert read(tmp_path, "hyperparameters: {lr: 9}").hyperparameters == {"lr": 9}

    def test_several_files_that_look_like_configs(self, tmp_path: Path) -> None:
        """None is read; all are named, those with hyperparameters first."""
        for name, text in {"a.yaml": "searcher: {}", "b.yaml": "hyperparameters: {x: 1}", "c.yml": "entrypoint: m:T"}.items():
            (tmp_path / name).write_text(text)
        config = read_config(None, tmp_path)
        assert (config.path, config.raw, config.unread) == (None, {}, ("b.yaml", "a.yaml", "c.yml"))
        assert read_config("a.yaml", tmp_path).unread == ()
        assert read_config({}, tmp_path).unread == ()

    def test_a_file_of_another_program_does_not_refuse_the_definition(self, tmp_path: Path) -> None:
        """It was not named; the warning says why it is not the config."""
        (tmp_path / "tuning.yaml").write_text("searcher: optuna\n")
        config = read_config(None, tmp_path)
        assert (config.raw, config.unread) == ({}, ("tuning.yaml",))
        assert config.warnings[0].startswith("No config was read: `searcher` in tuning.yaml is 'optuna'")
        with pytest.raises(ConfigError):
            read_config("tuning.yaml", tmp_path)

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            (b"hyperparameters:\n  lr: [1\n", "(config.yaml, line 3)."),
            (b"name: x\n  hyperparameters: {lr: 1}\n", "(config.yaml, line 2)."),
            ("hyperparameters: {lr: 1}\n".encode("utf-16"), "config.yaml is not UTF-8 text"),
            (b"hyperparameters: {lr: 1, lr: 2}\n", "duplicate key `lr`"),
        ],
    )
    def test_the_only_file_cannot_be_read(self, content: bytes, why: str, tmp_path: Path) -> None:
        """Also if its keys are not where those of a config are."""
        (tmp_path / "config.yaml").write_bytes(content)
        config = read_config(None, tmp_path)
        assert (config.raw, config.unread) == ({}, ("config.yaml",))
        assert config.warnings == (config.problem,)
        assert config.problem.startswith("No config was read: config.yaml is not ")
        assert why in config.problem

    @pytest.mark.parametrize("content", ["- hyperparameters\n- b\n", "a: [1\n", "job:\n  searcher: {}\n"])
    def test_a_file_that_is_no_config_is_not_mentioned(self, content: str, tmp_path: Path) -> None:
        """Neither valid nor invalid YAML without the keys of a config."""
        (tmp_path / "data.yaml").write_text(content)
        config = read_config(None, tmp_path)
        assert (config.warnings, config.unread, config.problem) == ((), (), "")

    def test_without_a_config_everything_is_empty(self, tmp_path: Path) -> None:
        """No config is an empty one; overrides alone work."""
        config = read_config(None, tmp_path, {"lr": 1}, 0)
        assert (config.raw, config.path, config.hyperparameters, config.origins) == ({}, None, {"lr": 1}, {"lr": "override"})

    @pytest.mark.parametrize("text", ["", "# nothing\n", "hyperparameters:\n", "name: x\n"])
    def test_no_hyperparameters_section(self, tmp_path: Path, text: str) -> None:
        """An empty file, and a file with other keys, have no hyperparameters."""
        assert read(tmp_path, text).hyperparameters == {}

    def test_a_config_may_be_a_dict(self, tmp_path: Path) -> None:
        """It is taken instead of the file, and is not changed."""
        (tmp_path / "const.yaml").write_text("hyperparameters: {lr: 9}")
        given = {"hyperparameters": {"lr": 0.1, "opt": {"momentum": 0.9}}, "data": {"url": "x"}}
        config = read_config(given, tmp_path, {"opt.momentum": 0.5}, 0)
        assert config.hyperparameters == {"lr": 0.1, "opt": {"momentum": 0.5}}
        assert config.origins == {"lr": "config", "opt.momentum": "override"}
        assert (config.path, config.data) == (None, {"url": "x"})
        assert given["hyperparameters"] == {"lr": 0.1, "opt": {"momentum": 0.9}}

    def test_keys_are_text_as_in_json(self, tmp_path: Path) -> None:
        """In a dict and in a file alike, because Determined sends a config as JSON."""
        (tmp_path / "const.yaml").write_text("data: {1: a, 1.5: b, true: c, null: d}")
        expected = {"1": "a", "1.5": "b", "true": "c", "null": "d"}
        assert read_config(None, tmp_path).data == expected
        assert read_config({"data": {1: "a", 1.5: "b", None: "d"}, "x": {True: "c"}}, tmp_path).data == {"1": "a", "1.5": "b", "null": "d"}

    def test_a_dict_that_holds_itself(self, tmp_path: Path) -> None:
        """One error of the config."""
        data: dict[str, Any] = {}
        data["again"] = data
        with pytest.raises(ConfigError, match="contains itself"):
            read_config({"data": data}, tmp_path)

    def test_a_directory_is_no_file(self, tmp_path: Path) -> None:
        """Whether it was named or found; the files in it are offered."""
        (tmp_path / "configs").mkdir()
        (tmp_path / "configs/small.yaml").write_text("a: 1")
        (tmp_path / "const.yaml").mkdir()
        for config, hint in (("configs", "small.yaml"), (None, "no .yaml file")):
            with pytest.raises(ConfigError, match="is a directory, not a config file") as caught:
                read_config(config, tmp_path)
            assert hint in (caught.value.hint or "")

    def test_a_path_from_the_working_directory_or_the_definition(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A relative name is searched in the working directory, then next to the definition; a wrong name lists the available files."""
        (tmp_path / "here").mkdir()
        (tmp_path / "here/a.yaml").write_text("hyperparameters: {from: here}")
        (tmp_path / "a.yaml").write_text("hyperparameters: {from: root}")
        (tmp_path / "b.yaml").write_text("hyperparameters: {from: root}")
        monkeypatch.chdir(tmp_path / "here")
        assert read_config("a.yaml", tmp_path, None, 0).hyperparameters == {"from": "here"}
        assert read_config(Path("b.yaml"), tmp_path, None, 0).origins == {"from": "b.yaml line 1"}
        with pytest.raises(ConfigError, match=r"'c\.yaml'") as caught:
            read_config("c.yaml", tmp_path, None, 0)
        assert "a.yaml, b.yaml" in (caught.value.hint or "")


class TestYaml:
    """YAML 1.2, with errors that point at the place."""

    @pytest.mark.parametrize(
        ("written", "value"),
        [
            ("1e-4", 1e-4),
            ("1E5", 1e5),
            ("3e-3", 0.003),
            (".5", 0.5),
            ("on", "on"),
            ("yes", "yes"),
            ("No", "No"),
            ("y", "y"),
            ("True", True),
            ("0777", 777),
            ("0o17", 15),
            ("0x1F", 31),
            ("50_000", 50000),
            ("12:30:45", "12:30:45"),
            ("2026-02-31", "2026-02-31"),
            ("2026-01-02", "2026-01-02"),
            ("~", None),
            ("'1'", "1"),
            ("!!str 1", "1"),
            ("", None),
        ],
    )
    def test_a_scalar_is_what_yaml_1_2_says(self, tmp_path: Path, written: str, value: object) -> None:
        """Not what YAML 1.1 made of it; a date stays text, because no JSON holds dates."""
        read_value = read(tmp_path, f"hyperparameters:\n  x: {written}\n").hyperparameters["x"]
        assert (read_value, type(read_value)) == (value, type(value))

    def test_anchors_and_merged_maps(self, tmp_path: Path) -> None:
        """Of several maps the earlier wins, and what the map says itself wins over all; a line is the one it came from."""
        config = read(
            tmp_path,
            "hyperparameters:\n  a: &a {x: 1, y: 1}\n  b: &b {y: 2, z: 2}\n  c:\n    <<: [*a, *b]\n    x: 3\n  d: *b\n  e: &a 5\n  f: *a\n",
        )
        assert config.hyperparameters["c"] == {"x": 3, "y": 1, "z": 2}
        assert (config.hyperparameters["d"], config.hyperparameters["f"]) == ({"y": 2, "z": 2}, 5)
        assert config.origins["c.x"] == "const.yaml line 6"
        assert config.origins["c.y"] == "const.yaml line 2"

    def test_values_that_share_an_anchor_are_apart(self, tmp_path: Path) -> None:
        """Changing one leaves the other."""
        data = read(tmp_path, "data:\n  a: &a {x: [1]}\n  b: *a\n").data
        data["a"]["x"].append(2)
        assert data["b"] == {"x": [1]}

    def test_a_file_that_is_too_long_is_not_read(self, tmp_path: Path) -> None:
        """A table belongs in a separate file."""
        error = config_error(tmp_path, "# " + "x" * 2_000_000)
        assert "2,000,002 bytes" in error.message
        assert "file of the definition's own" in (error.hint or "")

    def test_many_hyperparameters(self, tmp_path: Path) -> None:
        """A thousand, each with its line."""
        config = read(tmp_path, "hyperparameters:\n" + "".join(f"  h{number}: {number}\n" for number in range(1000)))
        assert config.hyperparameters["h999"] == 999
        assert config.origins["h999"] == "const.yaml line 1001"

    @pytest.mark.parametrize(
        ("text", "line", "column"),
        [
            ("a: 1\nb: [1, 2\nc: 3\n", 3, 2),
            ("a: 1\n\tb: 2\n", 2, 1),
            ("a: 1\na: 2\n", 2, 1),
            ("hyperparameters:\n  lr: 1\n  lr: 2\n", 3, 3),
            ("hyperparameters:\n  a:\n    - {x: 1}\n    - {x: 1, x: 2}\n", 4, 14),
            ("a: &a {x: 1}\nb:\n  <<: *a\n  y: 1\n  y: 2\n", 5, 3),
            ("a: &a {x: 1}\nb:\n  <<: *a\n  <<: *a\n", 4, 3),
            ("a:\n  1: x\n  '1': y\n", 3, 3),
            ("a: 1\n? [b, c]\n: 2\n", 2, 3),
            ("a: 1\nb: !!set {x}\n", 2, 4),
            ("a: !!binary aGk=\n", 1, 4),
            ("a: 1\nb:\n  <<: 3\n", 3, 7),
            ("a: *nobody\n", 1, 4),
            ("hyperparameters:\n\tlr: 1\n", 2, 1),
            ("a: !!python/object:os.system 1\n", 1, 4),
            ("a: 1\n---\nb: 2\n", 2, 1),
            ("- 1\n- 2\n", 1, 1),
            ("just text\n", 1, 1),
        ],
    )
    def test_an_error_names_line_and_column(self, tmp_path: Path, text: str, line: int, column: int) -> None:
        """Syntax errors, duplicate keys, tags, several documents and a file that is not a map have a position."""
        error = config_error(tmp_path, text)
        assert (error.line, error.column) == (line, column)
        assert f"line {line}" in str(error)
        assert "const.yaml" in error.message

    def test_what_is_not_text_or_too_deep_is_an_error_of_the_config(self, tmp_path: Path) -> None:
        """Not a failure of ours."""
        (tmp_path / "const.yaml").write_bytes(b"a: \xff\n")
        with pytest.raises(ConfigError, match="UTF-8"):
            read_config(None, tmp_path, None, 0)
        assert "nested too deeply" in config_error(tmp_path, "a: " + "[" * 5000 + "]" * 5000).message
        config_error(tmp_path, "a: " + "[" * 400)

    def test_each_reading_has_values_of_its_own(self, tmp_path: Path) -> None:
        """A trial that changes its config does not change that of the next load."""
        first = read(tmp_path, "hyperparameters: {sizes: [1, 2]}\ndata: {names: [a]}\n")
        first.raw["hyperparameters"]["sizes"].append(3)
        first.raw["data"]["names"].clear()
        again = read_config(None, tmp_path, None, 0)
        assert (again.hyperparameters, again.data) == ({"sizes": [1, 2]}, {"names": ["a"]})

    @pytest.mark.parametrize(
        ("text", "line", "key"),
        [
            ("a: 1\nhyperparameters: [1]\n", 2, "hyperparameters"),
            ("a: 1\nhyperparameters: 3\n", 2, "hyperparameters"),
            ("searcher: single\n", 1, "searcher"),
            ("searcher:\n  name: x\n  metric: [1]\n", 3, "searcher.metric"),
            ("searcher:\n  metric: loss\n  smaller_is_better: no\n", 3, "searcher.smaller_is_better"),
            ("data: x\n", 1, "data"),
            ("entrypoint: 3\n", 1, "entrypoint"),
        ],
    )
    def test_a_value_of_the_wrong_kind_names_key_and_line(self, tmp_path: Path, text: str, line: int, key: str) -> None:
        """The key is quoted, with the value and what it should be."""
        error = config_error(tmp_path, text)
        assert f"`{key}`" in error.message
        assert error.line == line


class TestKeys:
    """The keys that a single session reads."""

    def test_the_searcher_and_the_data_section_are_read(self, tmp_path: Path) -> None:
        """Metric and direction of the searcher; smaller is better unless it says otherwise; None without a metric."""
        config = read(tmp_path, "searcher: {metric: accuracy, smaller_is_better: false}\ndata: {path: /d}\nunknown: kept\n")
        assert (config.searcher_metric, config.smaller_is_better, config.data) == ("accuracy", False, {"path": "/d"})
        assert config.raw["unknown"] == "kept"
        assert read(tmp_path, "searcher: {metric: loss}\n").smaller_is_better is True
        assert read(tmp_path, "searcher: {name: single}\n").smaller_is_better is None

    @pytest.mark.parametrize(
        ("written", "entrypoint"),
        [
            ("model_def:T", "model_def:T"),
            ("python3 -m determined.launch.torch_distributed --trial model_def:T", "model_def:T"),
            ("[python3, -m, determined.exec.harness, 'model_def:T']", "model_def:T"),
            ("python3 train.py", None),
            ("nonsense", "nonsense"),
        ],
    )
    def test_the_entrypoint_may_be_a_command(self, tmp_path: Path, written: str, entrypoint: str | None) -> None:
        """Of Determined's commands the word that names a Trial class counts; a script names none."""
        assert read(tmp_path, f"entrypoint: {written}\n").entrypoint == entrypoint


class TestOverrides:
    """What the user sets wins, and is shown as theirs."""

    def test_dotted_names_reach_nested_ones(self, tmp_path: Path) -> None:
        """Values, origins and new names; what is not named stays."""
        config = read(tmp_path, "hyperparameters: {lr: 1, opt: {name: sgd, m: {a: 1, b: 2}}}\n", {"opt.m.a": 5, "new.x": 1, "lr": 2})
        assert config.hyperparameters == {"lr": 2, "opt": {"name": "sgd", "m": {"a": 5, "b": 2}}, "new": {"x": 1}}
        assert config.origins == {
            "lr": "override", "new.x": "override", "opt.m.a": "override", "opt.m.b": "const.yaml line 1", "opt.name": "const.yaml line 1",
        }  # fmt: skip
        assert config.raw["hyperparameters"]["opt"]["m"] == {"a": 1, "b": 2}

    def test_a_map_replaces_a_map(self, tmp_path: Path) -> None:
        """To change one value of it, name that one."""
        config = read(tmp_path, "hyperparameters: {opt: {name: sgd, m: 1}}\n", {"opt": {"lr": 3}})
        assert (config.hyperparameters, config.origins) == ({"opt": {"lr": 3}}, {"opt.lr": "override"})

    def test_a_name_that_nothing_has_is_taken_and_doubted(self, tmp_path: Path) -> None:
        """A misspelled name would train with the old value; a new name is allowed."""
        text = "hyperparameters: {learning_rate: 1, opt: {momentum: 0.9}}\n"
        config = read(tmp_path, text, {"lerning_rate": 2, "opt.momentun": 0.5, "zzz": 1, "opt": {"momentum": 1}})
        assert config.hyperparameters["lerning_rate"] == 2
        assert config.warnings == (
            "The override `lerning_rate` is not a hyperparameter of const.yaml; it was added. Did you mean `learning_rate`?",
            "The override `opt.momentun` is not a hyperparameter of const.yaml; it was added. Did you mean `opt.momentum`?",
            "The override `zzz` is not a hyperparameter of const.yaml; it was added.",
        )
        assert read(tmp_path, "name: x\n", {"lr": 1}).warnings == ()
        assert read(tmp_path, text, {"opt.momentum": 1, "learning_rate": 3}).warnings == ()

    def test_a_value_is_found_by_its_dotted_name(self, tmp_path: Path) -> None:
        """Every name with an origin has a value, even if the name contains dots."""
        config = read(tmp_path, "hyperparameters: {a.b: 1, a: {c: 2, d: {}}, 3: x}\n", {"a.c": 4})
        assert {name: config.value(name) for name in config.origins} == {"a.b": 1, "a.c": 4, "a.d": {}, "3": "x"}
        with pytest.raises(HyperparameterError, match=r"'a\.x'"):
            config.value("a.x")

    @pytest.mark.parametrize("name", ["lr.x", ".lr", "lr.", ""])
    def test_a_name_that_leads_nowhere(self, tmp_path: Path, name: str) -> None:
        """A value has no parts, and a name no empty ones."""
        with pytest.raises(HyperparameterError) as caught:
            read(tmp_path, "hyperparameters: {lr: 1}\n", {name: 1})
        assert caught.value.name == name
