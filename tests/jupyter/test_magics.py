"""The magics in a real kernel: the user's input, and the output below the cell."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

import pytest
from support.cells import Cells
from support.definition import LINE

from detjupyter.protocol.outputs import RUN_MIME_TYPE as RUN

SLOW = Path(__file__).parent / "trials/slow.py"
LOAD_SLOW = f"session = %det_load :SlowTrial --path {SLOW} --name slow --hparam batch_s="
LOAD_OPTIONS = (
    "--path",
    "--config",
    "--hparam",
    "--seed",
    "--device",
    "--name",
    "--from",
    "--repeat",
    "--compile",
    "--startup-hook",
    "--any-size",
)
OURS = ("detjupyter/magics", "detjupyter/engine", "detjupyter/session", "detjupyter/pytorch", "detjupyter/definition", "detjupyter/store")


class TestLoading:
    """``%det_load``, ``%det_reload`` and ``%det_files``."""

    def test_load_alone_shows_a_card(self, cells: Cells) -> None:
        """Class, file and line, hyperparameters and where each came from, files, code hash; HTML and text."""
        seen = cells.ok("%det_load model_def:DigitsTrial")
        assert set(seen.displays[-1]) == {"text/html", "text/plain"}
        for part in ("DigitsTrial", "model_def.py:11", "learning_rate", "0.003", "const.yaml", "4 ship", "cpu"):
            assert part in seen.text

    def test_an_assigned_load_shows_nothing_and_gives_the_session(self, cells: Cells) -> None:
        """``session = %det_load …`` is quiet but for the seconds it takes; the object is the current session."""
        seen = cells.ok("mine = %det_load model_def:DigitsTrial")
        assert not seen.result
        assert cells.value("mine is detjupyter.current_session(), mine.state") == "(True, 'ready')"

    def test_warnings_of_an_assigned_load_are_printed(self, cells: Cells, directory: Path) -> None:
        """Nothing else shows them; a load alone shows them on its card only."""
        with (directory / "const.yaml").open("a", encoding="utf-8") as file:
            file.write("serachr: {name: single}\n")
        seen = cells.ok("mine = %det_load model_def:DigitsTrial --hparam learning_rat=0.5")
        assert re.findall("^Warning: .*", seen.printed["stdout"], re.MULTILINE) == [
            "Warning: `serachr` in const.yaml line 22 is not a known key; its value is kept. Did you mean `searcher`?",
            "Warning: The override `learning_rat` is not a hyperparameter of const.yaml; it was added. Did you mean `learning_rate`?",
        ]
        alone = cells.ok("%det_load model_def:DigitsTrial --hparam learning_rat=0.5")
        assert "Warning" not in alone.text
        assert alone.text.index("Did you mean `learning_rate`?") < alone.text.index("framework")
        assert "Warning: `serachr`" in cells.ok("again = %det_reload").text

    def test_a_file_is_loaded_by_its_name(self, cells: Cells, directory: Path) -> None:
        """With its only Trial class; of several the user names one. The name may also stand after ``--hparam``."""
        (directory / "tiny.py").write_text(LINE, encoding="utf-8")
        (directory / "two.py").write_text(f"{LINE}\n\nclass OtherTrial(LineTrial): ...\n", encoding="utf-8")
        for line in ("%det_load tiny.py", "%det_load --hparam a=1 tiny.py", "dj.load('tiny.py')"):
            assert "LineTrial" in cells.ok(f"import detjupyter as dj\n{line}").text
        message = cells.run("%det_load two.py").message
        assert "There are 2 Trial classes" in message
        assert "`%det_load --path two.py :LineTrial`" in message
        assert "LineTrial" in cells.ok("%det_load --path two.py :LineTrial").text

    def test_every_option_reaches_the_session(self, cells: Cells, directory: Path) -> None:
        """Several hyperparameters, in one --hparam or in more; seed, device, name, path and config."""
        config = (directory / "const.yaml").read_text(encoding="utf-8")
        (directory / "other.yaml").write_text(config.replace("channels: 32", "channels: 4"), encoding="utf-8")
        options = "--hparam hidden=64 learning_rate=1e-2 --hparam dropout=0.5 --seed 7 --device cpu --name big --config other.yaml"
        cells.ok(f"import os; os.chdir('..')\ns = %det_load model_def:DigitsTrial --path quickstart {options}")
        assert cells.value("s.session_id, s.card().seed, s.card().device, s.definition.name") == "('big', 7, 'cpu', 'quickstart')"
        values = "{h.name: (h.value, h.origin) for h in s.card().hyperparameters}"
        assert cells.value(f"{values}['hidden'], {values}['learning_rate'], {values}['dropout'], {values}['channels']") == (
            "((64, 'override'), (0.01, 'override'), (0.5, 'override'), (4, 'other.yaml line 7'))"
        )

    def test_values_are_quoted_as_in_a_shell_and_read_as_yaml(self, cells: Cells) -> None:
        """Quotes group words, braces insert Python values, the entrypoint may come last, and a comment is not an argument."""
        cells.ok("rate = 0.5\ns = %det_load --hparam 'layers=[1, 2]' note=\"a b\" on=on lr={rate} model_def:DigitsTrial  # isn't it")
        values = "{h.name: h.value for h in s.card().hyperparameters if h.origin == 'override'}"
        assert ast.literal_eval(cells.value(values)) == {"layers": [1, 2], "note": "a b", "on": "on", "lr": 0.5}

    def test_a_directory_with_a_space_in_its_name_can_be_quoted(self, cells: Cells, directory: Path) -> None:
        """The path arrives without its quotes."""
        shutil.copytree(directory, directory.parent / "my nets")
        assert "my nets" in cells.ok("%det_load --path '../my nets'").text

    def test_a_second_name_keeps_a_second_session(self, cells: Cells) -> None:
        """The first session continues while the second is loaded; %det_status lists both."""
        cells.ok("%det_load --name one")
        cells.ok("%det_load --name two")
        text = cells.ok("%det_status").text
        assert re.search(r"^one · model_def:DigitsTrial: ready", text, re.MULTILINE)
        assert re.search(r"^two \(current\) · model_def:DigitsTrial: ready", text, re.MULTILINE)

    def test_files_shows_the_rule_that_decided(self, cells: Cells) -> None:
        """The quickstart's data directory is left out by its line, and --all looks inside."""
        seen = cells.ok("%det_files")
        assert set(seen.result) == {"text/html", "text/plain"}
        assert re.search(r"- data/ +\.detignore line 2: data/", seen.text)
        assert "README.md" not in seen.text
        assert "README.md" in cells.ok("%det_files --all").text

    def test_reload_takes_the_edited_code_and_keeps_the_weights(self, cells: Cells, directory: Path) -> None:
        """New methods, the same number of batches, the same numbers in the network; broken code changes nothing."""
        cells.ok("s = %det_load")
        cells.ok("%det_step 5")
        cells.ok("before = next(s.trial.model.parameters()).detach().clone()")
        path = directory / "model_def.py"
        good = path.read_text(encoding="utf-8")
        path.write_text(
            good.replace("class DigitsTrial(PyTorchTrial):", "class DigitsTrial(PyTorchTrial):\n    edited = True\n"), encoding="utf-8"
        )
        cells.ok("%det_reload")
        assert (
            cells.value("s.trial.edited, s.batches_trained, bool((next(s.trial.model.parameters()) == before).all())") == "(True, 5, True)"
        )
        path.write_text(good + "\nraise RuntimeError('half done')\n", encoding="utf-8")
        assert "half done" in cells.run("%det_reload").message
        assert cells.value("s.trial.edited, s.batches_trained") == "(True, 5)"


class TestTraining:
    """``%det_train`` and what steers it."""

    def test_a_training_shows_live_and_ends_as_a_picture(self, cells: Cells) -> None:
        """The cell is done while it trains; at the end its output is PNG, SVG and text and no widget."""
        cells.ok("s = %det_load")
        cell = cells.begin("%det_train --batches 60 --validate-every 30 --checkpoint-every 20")
        seen = cells.finish(cell)
        assert "application/vnd.jupyter.widget-view+json" in seen.displays[0]
        assert cells.value("s.state") == "'running'"
        cells.ok("s.wait()")
        cells.hear(0.3)
        assert set(seen.displays[0]) == {RUN, "image/png", "image/svg+xml", "text/plain"}
        assert seen.text.startswith("model_def:DigitsTrial: finished · 60 batches")
        assert cells.value("s.metrics('accuracy', 'validation')[0].tolist()") == "[30, 60]"
        assert cells.value("[c.batches_trained for c in s.run.checkpoints()]") == "[20, 30, 40, 60]"

    @pytest.mark.parametrize(("length", "batches"), [("", 90), ("--epochs 1", 90), ("--batches 7", 7), ("--records 160", 10)])
    def test_lengths_are_batches_epochs_or_records(self, cells: Cells, length: str, batches: int) -> None:
        """Without one it is an epoch."""
        cells.ok("s = %det_load")
        cells.ok(f"%det_train {length} --wait")
        assert cells.value("s.state, s.batches_trained") == f"('finished', {batches})"

    def test_wait_blocks_and_shows_one_line_of_progress(self, cells: Cells) -> None:
        """The line moves while it waits and ends with the end."""
        cells.ok(LOAD_SLOW + "0.01")
        seen = cells.ok("%det_train --batches 80 --wait")
        lines = [m["content"]["data"]["text/plain"] for m in cells.messages if m["msg_type"] == "update_display_data"]
        assert any(line.startswith("running · ") for line in lines)
        assert seen.displays[-1]["text/plain"].startswith("finished · 80 batches")

    def test_an_interrupt_of_wait_pauses_and_says_how_to_go_on(self, cells: Cells) -> None:
        """One line instead of a traceback; the waiting cells do not run; the training can be resumed."""
        cells.ok(LOAD_SLOW + "0.01")
        cell = cells.begin("%det_train --batches 5000 --wait")
        cells.until_started(cell)
        next_cell = cells.begin("print('out of the queue')")
        cells.hear(0.7)
        cells.manager.interrupt_kernel()
        seen = cells.finish(cell)
        assert seen.message == "Interrupted: the training is paused."
        assert re.search(r"paused · .* of 5,000 batches.*`%det_resume` resumes it, `%det_stop` ends it", seen.text)
        cells.hear(0.3)
        assert "out of the queue" not in cells.shown[next_cell].text
        assert "running" in cells.ok("%det_resume").text
        assert "stopped" in cells.ok("%det_stop").text

    def test_a_batch_that_does_not_end_holds_no_interrupted_cell(self, cells: Cells) -> None:
        """One interrupt frees the cell and names the way out; the way out closes the session and keeps the run."""
        cells.ok(LOAD_SLOW + "60")
        cell = cells.begin("%det_train --batches 5 --wait")
        cells.until_started(cell)
        cells.hear(0.7)
        cells.manager.interrupt_kernel()
        seen = cells.finish(cell, 30)
        assert seen.message.startswith("Interrupted: the training pauses after the current batch.")
        assert "`%det_stop --force` closes the session now" in seen.message
        assert "`%det_load` loads the definition again" in cells.ok("%det_stop --force").text
        assert cells.value("session.state, session.run.state") == "('interrupted', 'interrupted')"

    def test_an_interrupted_step_is_held(self, cells: Cells) -> None:
        """A step of too many batches is stopped at once, without a traceback."""
        cells.ok(LOAD_SLOW + "0.01")
        cell = cells.begin("%det_step 5000")
        cells.until_started(cell)
        cells.hear(0.3)
        cells.manager.interrupt_kernel()
        assert cells.finish(cell).message == "Interrupted: the training pauses after the current batch."
        assert cells.ok("%det_pause").text.startswith("paused · ")

    def test_an_interrupted_validation_goes_on_and_says_so(self, cells: Cells) -> None:
        """The cell is free at once; the validation ends by itself."""
        cells.ok(LOAD_SLOW + "0.4")
        cell = cells.begin("%det_validate")
        cells.until_started(cell)
        cells.hear(0.2)
        cells.manager.interrupt_kernel()
        assert cells.finish(cell).message == "Interrupted: the validation continues; `%det_stop` ends it."
        cells.ok("%det_checkpoint")  # waits for its turn
        assert cells.value("session.metrics('loss', 'validation')[0].tolist()") == "[0]"

    def test_pause_step_resume_and_stop_say_where_it_stands(self, cells: Cells) -> None:
        """One line each, and each is done when the cell is."""
        cells.ok(LOAD_SLOW + "0.005")
        cells.ok("%det_train --batches 1000000")
        assert cells.ok("%det_pause").text.startswith("paused · ")
        trained = int(cells.value("session.batches_trained"))
        assert cells.ok("%det_step").text.startswith(f"paused · {trained + 1} of")
        assert cells.ok("%det_step 3").text.startswith(f"paused · {trained + 4} of")
        assert cells.ok("%det_resume").text.startswith("running · ")
        assert cells.ok("%det_stop").text.startswith("stopped · ")

    def test_validate_and_checkpoint_answer_readably_and_restore_goes_back(self, cells: Cells) -> None:
        """The metrics are a dict with few digits shown; the checkpoint says where it is and how to go back to it."""
        cells.ok("s = %det_load")
        cells.ok("%det_step 3")
        assert re.fullmatch(r"\{'loss': \d\.\d{1,3}, 'accuracy': 0\.\d{1,5}\}", cells.ok("%det_validate").text)
        assert cells.value("isinstance(_, dict), type(_['loss'])") == "(True, <class 'float'>)"
        seen = cells.ok("%det_checkpoint")
        assert seen.text.startswith("checkpoint after 3 batches, 1.9 MB\n")
        back = re.search(r"`(%det_restore \S+)`", seen.text)
        assert back is not None
        cells.ok("%det_step 2")
        assert cells.ok(back[1]).text.endswith("\n")
        assert cells.value("s.batches_trained") == "3"

    def test_a_cell_that_prints_shows_only_its_own_text(self, cells: Cells) -> None:
        """Output of the trial during that time is in the run's log, line by line."""
        cells.ok(LOAD_SLOW + "0.005")
        cells.ok("%det_train --batches 100")
        seen = cells.ok("import time\nfor i in range(20):\n    print('mine', i); time.sleep(0.02)")
        assert seen.text == "".join(f"mine {i}\n" for i in range(20))
        assert cells.value("session.wait()") == "'finished'"
        assert cells.value("[line.text for line in session.run.log() if line.stream == 'stdout'][:2]") == (
            "['the trial trains batch 0', 'the trial trains batch 1']"
        )
        assert cells.value("sum(line.stream == 'stdout' for line in session.run.log())") == "100"
        assert "the trial trains" not in str(cells.ok("%det_train --batches 3 --wait"))


class TestLookingBack:
    """``%det_status``, ``%det_show``, ``%det_runs`` and ``%det_compare``."""

    def test_an_empty_history_says_what_to_do(self, cells: Cells, tmp_path: Path) -> None:
        """No table of nothing."""
        cells.ok(f"import os; before = os.environ['DETJUPYTER_HOME']; os.environ['DETJUPYTER_HOME'] = {str(tmp_path)!r}")
        assert cells.ok("%det_runs").text == "There are no runs yet: `%det_load` a trial, then `%det_train`."
        for code, name in (("%det_show latest", "latest"), ("%det_show best", "best"), ("%det_compare best latest", "best")):
            message = cells.run(code).message
            assert f"There is no {name} run: the history has none" in message
            assert str(tmp_path) in message  # where it was looked for
            assert "`%det_train` records one" in message
            assert "Traceback" not in message
        message = cells.run("%det_show 20200101-000000-abcdef").message
        assert "No run has the id '20200101-000000-abcdef'" in message
        assert "`%det_runs` lists the runs" in message
        cells.ok("os.environ['DETJUPYTER_HOME'] = before")

    def test_runs_lists_the_newest_first(self, cells: Cells) -> None:
        """The requested number of runs, as a table in HTML and in text."""
        for batches in (2, 3):
            cells.ok("s = %det_load")
            cells.ok(f"%det_train --batches {batches} --wait")
        seen = cells.ok("%det_runs --limit 1")
        assert {"text/html", "text/plain"} == set(seen.displays[0])
        assert len(seen.text.splitlines()) == 2
        assert cells.value("s.run.id") in f"'{seen.text.split()[7]}'"

    def test_runs_are_chosen_by_a_condition(self, cells: Cells) -> None:
        """The list of Python shows the same table; a mistake is one error that points at it."""
        for rate in (0.5, 0.25):
            cells.ok(f"s = %det_load --hparam learning_rate={rate}")
            cells.ok("%det_train --batches 1 --wait")
        chosen = cells.ok("%det_runs --where 'learning_rate == 0.25'").text.splitlines()
        assert len(chosen) == 2
        assert cells.value("s.run.id") in f"'{chosen[1].split()[0]}'"
        seen = cells.ok("import detjupyter as dj; dj.runs(2)")
        assert "learning_rate" in seen.text.splitlines()[0]
        assert cells.ok("%det_runs --where 'batches > 1e9'").text == "No run matches."
        failed = cells.run("%det_runs --where 'learning_rate <'")
        assert "^" in failed.message
        assert "Traceback" not in str(failed)

    def test_a_run_is_shown_in_every_way(self, cells: Cells) -> None:
        """By its id, as the session's, as the latest and the best one, and as an object: a reference, a picture and text."""
        cells.ok("s = %det_load")
        assert RUN not in cells.ok("s").displays[0]  # its card: there is no run yet
        cells.ok("%det_train --batches 20 --validate-every 10 --wait\nimport detjupyter as dj")
        run_id = cells.value("s.run.id").strip("'")
        for source in ("%det_show", "%det_show latest", f"%det_show {run_id}", "dj.run(s.run.id)", "s.run"):
            (shown,) = cells.ok(source).displays
            assert shown[RUN] == {"version": 1, "run_id": run_id, "ended": None}, source
            assert {"image/png", "image/svg+xml", "text/plain"} < set(shown)
            assert "finished · 20 batches" in shown["text/plain"]
        (best,) = cells.ok("%det_show best").displays
        assert cells.value(f"dj.run({best[RUN]['run_id']!r}).record.best.value >= s.run.record.best.value") == "True"
        (shown,) = cells.ok("s").displays
        assert (shown[RUN]["run_id"], shown[RUN]["ended"]["state"]) == (run_id, "finished")
        card = cells.ok("s.card()")
        assert "learning_rate" in card.result["text/html"]
        assert "learning_rate" in card.text

    def test_a_training_run_is_shown_live(self, cells: Cells) -> None:
        """The widget for front ends without our extension, with the same reference; a run of an ended session shows no widget."""
        cells.ok(LOAD_SLOW + "0.01")
        cells.ok("%det_train --batches 100000")
        for source in ("%det_show", "session"):
            (shown,) = cells.ok(source).displays
            assert {RUN, "application/vnd.jupyter.widget-view+json"} < set(shown)
            assert shown[RUN]["ended"] is None
        cells.ok("session.stop(); session.wait(); session.close()")
        assert "application/vnd.jupyter.widget-view+json" not in cells.ok("%det_show").displays[0]

    def test_a_run_that_is_not_there_is_one_sentence(self, cells: Cells) -> None:
        """An unknown id, and a run that was deleted since."""
        failed = cells.run("%det_show 20200101-000000-abcdef")
        assert "No run has the id" in failed.message
        assert "Traceback" not in str(failed)
        cells.ok("s = %det_load")
        cells.ok("%det_train --batches 1 --wait\nimport detjupyter as dj\nrun = s.run\ns.close()\nrun.delete()")
        assert "which the history does not have" in str(cells.ok("run").displays)

    def test_runs_are_named_tagged_and_archived(self, cells: Cells) -> None:
        """What was noted is printed, and in the table; without an option it is only printed; the Tab key offers known tags."""
        cells.ok("s = %det_load")
        cells.ok("%det_train --batches 1 --wait")
        run = cells.ok("print(s.run.id)").text.strip()
        assert cells.ok("%det_note latest --name 'first try' --tag good baseline --star --text 'lr too high'").text == (
            f"{run} first try · ★ · tags good, baseline\n  lr too high"
        )
        assert cells.ok(f"%det_note {run} --untag good --no-star").text == f"{run} first try · tags baseline\n  lr too high"
        assert "first try" in cells.ok("%det_runs --limit 1").text
        assert cells.complete(f"%det_note {run} --untag ") == ["baseline"]
        cells.ok(f"%det_note {run} --archive")
        assert run not in cells.ok("%det_runs").text
        assert run in cells.ok("%det_runs --archived").text
        assert cells.ok(f"%det_note {run} --no-archive").text == cells.ok(f"%det_note {run}").text
        failed = cells.run(f"%det_note {run} --name {'x' * 201}")
        assert "at most 200 characters, not 201" in failed.message
        assert "Traceback" not in str(failed)
        assert "one run gets a name" in cells.run(f"%det_note {run} latest --name x").printed["stderr"]

    def test_two_runs_are_compared(self, cells: Cells) -> None:
        """With a picture and a table; the call of Python shows the same."""
        for rate in (0.5, 0.25):
            cells.ok(f"s = %det_load --hparam learning_rate={rate}")
            cells.ok("%det_train --batches 2 --wait")
        ids = cells.ok("import detjupyter as dj; print(*[run.id for run in dj.runs(2)])").text.split()
        seen = cells.ok(f"%det_compare {' '.join(ids)}")
        assert "<svg" in seen.displays[0]["text/html"]
        assert re.search(r"learning_rate +0\.25 +0\.5", seen.text)
        assert cells.ok("dj.compare(*dj.runs(2))").text == seen.text
        assert "all of these are the run" in cells.run("%det_compare latest latest").message

    def test_names_and_messages_are_spelled_out(self, cells: Cells, tmp_path: Path) -> None:
        """Of a metric and of an exception: in the status, the list of runs, the picture, and the error."""
        code = (tmp_path / "odd").joinpath("model_def.py")
        code.parent.mkdir()
        code.write_text(ODD)
        cells.ok(f"s = %det_load --path {code.parent} --hparam fail=3")
        failed = cells.run("%det_train --batches 5 --wait")
        seen = [failed, cells.ok("%det_status"), cells.ok("%det_runs --limit 1"), cells.ok("s.run"), cells.ok("print(s.run.log()[0].text)")]
        for one in seen:
            texts = [*one.printed.values(), *(str(value) for bundle in (*one.displays, one.result) for value in bundle.values())]
            assert not re.search("[\x07\x1b\u202e]", "".join(texts))
        assert r"\x1b]0;owned\x07acc" in seen[1].text
        for text in (failed.message, seen[1].text):
            assert r"no \x1b[8mdata\u202e" in text
        assert seen[4].text.strip() == "a red line"

    def test_status_shows_the_newest_metrics(self, cells: Cells) -> None:
        """State, progress, newest values, best."""
        cells.ok("s = %det_load")
        cells.ok("%det_train --batches 4 --wait")
        assert re.match(r"model_def:DigitsTrial: finished · 4 batches.*\n  loss +training .* validation ", cells.ok("%det_status").text)

    def test_a_training_without_effect_is_marked_everywhere(self, cells: Cells, directory: Path) -> None:
        """In the picture that stays, in the status, on the card and with the run; the training of the corrected code has no mark."""
        path = directory / "model_def.py"
        good = path.read_text(encoding="utf-8")
        assert "self.context.step_optimizer(self.optimizer)" in good
        path.write_text(good.replace("self.context.step_optimizer(self.optimizer)", "pass"), encoding="utf-8")
        cells.ok("s = %det_load")
        seen = cells.ok("%det_train --batches 12")
        cells.ok("s.wait()")
        cells.hear(0.3)
        mark, sentence = "1 warning", "No parameter changed in"
        for text in (seen.text, cells.ok("%det_status").text):
            assert mark in text
            assert sentence in text
        assert sentence in cells.ok("s").text
        path.write_text(good, encoding="utf-8")
        cells.ok("%det_reload")
        cells.ok("%det_train --batches 12 --wait")
        assert mark not in cells.ok("%det_status").text
        assert sentence in cells.value("s.run.warnings")


ODD = r"""
import torch
from detjupyter.pytorch import DataLoader, PyTorchTrial


class OddTrial(PyTorchTrial):
    def __init__(self, context):
        self.context = context
        self.model = context.wrap_model(torch.nn.Linear(1, 1))
        self.optimizer = context.wrap_optimizer(torch.optim.SGD(self.model.parameters(), lr=0.1))

    def build_training_data_loader(self):
        return DataLoader([torch.ones(1)] * 8, batch_size=2)

    build_validation_data_loader = build_training_data_loader

    def train_batch(self, batch, epoch_idx, batch_idx):
        print("a \x1b[31mred\x1b[0m line")
        if batch_idx == self.context.get_hparam("fail"):
            raise ValueError("no \x1b[8mdata\u202e")
        loss = self.model(batch).sum()
        self.context.backward(loss)
        self.context.step_optimizer(self.optimizer)
        return {"loss": loss, "\x1b]0;owned\x07acc": loss}

    def evaluate_batch(self, batch):
        return {"error": self.model(batch).sum()}
"""
MISTAKES = [
    ("%det_status", "Nothing is loaded"),
    ("%det_train --epochs 1", "`%det_load model_def:MyTrial`"),
    ("%det_pause", "Nothing is loaded"),
    ("%det_validate", "Nothing is loaded"),
    ("%det_restore x", "Nothing is loaded"),
    ("%det_reload", "Nothing is loaded"),
    ("%det_load nope:Trial", "There is no module 'nope'"),
    ("%det_load model_def:DigitTrial", "Did you mean"),
    ("%det_load model_def", "has no colon"),
    ("%det_load data:DigitsDataset", "not a Trial"),
    ("%det_load --path nowhere", "There is no directory"),
    ("%det_load --path data", "data"),
    ("%det_load --config no.yaml", "no.yaml"),
    ("%det_load --device cuda:7", "cuda:7"),
    ("%det_load --seed -1", "seed"),
    ("%det_load --hparam rate", "NAME=VALUE"),
    ("%det_load --hparam learning_rate:0.1", "Did you mean `--hparam learning_rate=0.1`?"),
    ("%det_load --hparam activation:relu", "Did you mean `--hparam activation=relu`?"),
    ("%det_load --hparam a=1 modl_def:DigitsTrial", "There is no module 'modl_def'"),
    ("%det_load --hparam global_batch_size=0", "global_batch_size must be a positive integer, got 0"),
    ("%det_load data.py", "no class in"),
    ("%det_load nowhere.py", "has no colon"),
    ("%det_load --hparam a=[1", "not YAML"),
    ("%det_files --path nowhere", "There is no directory"),
]
USAGE = [
    ("%det_load --seed x", "%det_load: argument --seed: invalid int value: 'x'."),
    ("%det_load --bogus", "There is: --path, --config"),
    ("%det_load 'x", 'no closing quotation in "\'x"'),
    ("%det_train --bathes 5", "Did you mean --batches?"),
    ("%det_train 5", "%det_train has no argument '5'."),
    ("%det_pause now", "It takes none."),
    ("%det_show one two", "has no argument 'two'. It takes RUN."),
    ("%det_step some", "invalid int value: 'some'"),
    ("%det_restore", "checkpoint"),
    ("%det_runs --limit 0", "at least 1"),
]


class TestMistakes:
    """The output after an error of the user, or of the user's code."""

    @pytest.mark.parametrize(("code", "expected"), MISTAKES)
    def test_a_mistake_shows_one_short_message(self, cells: Cells, code: str, expected: str) -> None:
        """No traceback, no frame of ours, and the next cell works."""
        message = cells.run(code).message
        assert expected in message
        assert "Traceback" not in message
        assert "-->" not in message
        assert len(message.splitlines()) <= 4
        assert cells.value("1 + 1") == "2"

    @pytest.mark.parametrize(("code", "expected"), USAGE)
    def test_a_line_that_does_not_fit_says_so_in_one_line(self, cells: Cells, code: str, expected: str) -> None:
        """As IPython's own magics do, with what was probably meant."""
        seen = cells.run(code)
        assert not seen.message
        (line,) = seen.printed["stderr"].strip().splitlines()
        assert line.startswith("UsageError: ")
        assert expected in line
        assert f"`{code.split()[0]}?` explains." in line or "quotation" in line

    def test_mistakes_with_a_session(self, cells: Cells) -> None:
        """A step of nothing, a training of nothing or of two lengths, a second training, a checkpoint that is not there."""
        cells.ok(LOAD_SLOW + "0.01")
        assert "at least one batch, not 0" in cells.run("%det_step 0").message
        assert "There is no training to resume" in cells.run("%det_resume").message
        assert "Nothing is training" in cells.run("%det_pause").message
        assert "must be a positive integer, got 0" in cells.run("%det_train --batches 0").message
        assert "not batches and epochs" in cells.run("%det_train --batches 1 --epochs 1").message
        assert "No checkpoint has the id 'nope'" in cells.run("%det_restore nope").message
        cells.ok("%det_train --batches 1000000")
        for code in ("%det_train", "%det_restore nope", LOAD_SLOW + "0.01"):
            message = cells.run(code).message
            assert "running" in message
            assert "%det_stop" in message
            assert "Traceback" not in message
        cells.ok("%det_stop")

    def test_code_that_fails_shows_the_persons_frames_and_goes_on_after_the_fix(self, cells: Cells, directory: Path) -> None:
        """State failed, file and line, weights kept; %det_reload and %det_train continue."""
        path = directory / "model_def.py"
        good = path.read_text(encoding="utf-8")
        path.write_text(
            good.replace("images, digits = batch\n", "images, digits = batch\n        images = images[:, 0]\n", 1), encoding="utf-8"
        )
        cells.ok("s = %det_load")
        message = train_and_fail(cells, "s", "%det_train --epochs 1")
        assert "RuntimeError in your code while training" in message
        assert f'File "{path}", line ' in message
        assert not any(ours in message for ours in OURS)
        assert cells.value("s.state") == "'failed'"
        path.write_text(good, encoding="utf-8")
        cells.ok("%det_reload")
        cells.ok("%det_train --batches 2 --wait")
        assert cells.value("s.state, s.batches_trained") == "('finished', 2)"

    def test_a_failed_training_shows_the_frames_once(self, cells: Cells, directory: Path) -> None:
        """In the output of the training's cell; the cell's error is one line below it. Where no output shows them, the error does."""
        path = directory / "model_def.py"
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("images, digits = batch\n", "images, digits = batch\n        1 / 0\n", 1), encoding="utf-8")
        cells.ok("s = %det_load")
        failed = cells.run("%det_train --epochs 1 --wait")
        assert failed.error is not None
        assert "ZeroDivisionError in your code while training" in failed.message
        assert "The output above shows where." in failed.message
        assert "1 / 0" not in failed.message
        assert "1 / 0" in failed.error["evalue"]  # for programs that run notebooks
        assert ["1 / 0" in one["text/plain"] for one in failed.displays if RUN in one] == [True]
        for code in ("s.wait()", "s.train(batches=1, wait=True)", "%det_step"):
            failed = cells.run(code)
            assert failed.error is not None
            assert "\n".join(failed.error["traceback"]).count("1 / 0") == 1
            assert failed.displays == []

    @pytest.mark.parametrize("wait", ["", " --wait"])
    def test_a_missing_data_set_is_the_training_cells_own_error(self, cells: Cells, directory: Path, wait: str) -> None:
        """It names the file and the line of the user, and says where relative paths start."""
        path = directory / "model_def.py"
        text = path.read_text(encoding="utf-8")
        path.write_text(
            text.replace("DataLoader:\n        dataset", "DataLoader:\n        open('data/digits.npz')\n        dataset"), encoding="utf-8"
        )
        cells.ok("s = %det_load")
        message = train_and_fail(cells, "s", f"%det_train --epochs 1{wait}")
        assert "No such file or directory: 'data/digits.npz'" in message
        assert f"start at its root, {directory}." in message
        assert not any(ours in message for ours in OURS)

    def test_a_syntax_error_shows_the_persons_line(self, cells: Cells, directory: Path) -> None:
        """File, line and text."""
        (directory / "broken.py").write_text("def f(:\n    pass\n", encoding="utf-8")
        message = cells.run("%det_load broken:Trial").message
        assert "broken.py, line 1" in message
        assert "def f(:" in message

    def test_a_missing_hyperparameter_names_those_there_are(self, cells: Cells, directory: Path) -> None:
        """The constructor needs a hyperparameter that is not in the config."""
        path = directory / "const.yaml"
        path.write_text(path.read_text(encoding="utf-8").replace("  hidden: 128\n", ""), encoding="utf-8")
        message = cells.run("%det_load").message
        assert "hidden" in message
        assert "learning_rate" in message
        assert "Traceback" not in message

    def test_an_interrupt_of_a_slow_load_leaves_nothing_loaded(self, cells: Cells, directory: Path) -> None:
        """One line, and the next load works."""
        path = directory / "network.py"
        good = path.read_text(encoding="utf-8")
        path.write_text("import time; time.sleep(30)\n" + good, encoding="utf-8")
        cell = cells.begin("%det_load")
        cells.until_started(cell)
        cells.hear(1.3)
        assert cells.shown[cell].text == "Loading quickstart …"
        cells.manager.interrupt_kernel()
        assert cells.finish(cell).message == "Interrupted: nothing was loaded."
        path.write_text(good, encoding="utf-8")
        assert "DigitsTrial" in cells.ok("%det_load").text


class TestManners:
    """Help, completion, and a kernel that is otherwise unchanged."""

    def test_help_names_options_and_what_they_do(self, cells: Cells) -> None:
        """``%det_train?`` shows a usage line and every option."""
        reply = cells.client.execute("%det_train?", reply=True)
        text = re.sub(r"\x1b\[[0-9;]*m", "", reply["content"]["payload"][0]["data"]["text/plain"])
        assert "%det_train [--batches N] [--epochs N] [--records N]" in text
        assert "Train in the background and show the live view; the default length is that of the config, else one epoch." in text
        assert "return when the training has ended; an interrupt" in text

    @pytest.mark.parametrize(
        ("code", "offers"),
        [
            ("%det_lo", ["%det_load"]),
            ("%det_load ", ["model_def:DigitsTrial", *LOAD_OPTIONS]),
            ("session = %det_load mod", ["model_def:DigitsTrial"]),
            ("x = 1\n%det_load model_def:D", ["model_def:DigitsTrial"]),
            ("%det_load --hp", ["--hparam"]),
            ("%det_load --hparam learn", ["learning_rate="]),
            ("%det_load --hparam dropout=1 hid", ["hidden="]),
            ("%det_load --hparam ", ["channels=", "dropout=", "global_batch_size=", "hidden=", "learning_rate="]),
            ("%det_load --config ", ["const.yaml", "data/"]),
            ("%det_load --path=da", ["--path=data/", "--path=data.py"]),
            ("%det_load --seed 3 mod", ["model_def:DigitsTrial"]),
            ("%det_train --", ["--batches", "--epochs", "--records", "--validate-every", "--checkpoint-every", "--stop-at-nan", "--wait"]),
            ("%det_files --al", ["--all"]),
        ],
    )
    def test_the_tab_key_offers_what_may_come_next(self, cells: Cells, code: str, offers: list[str]) -> None:
        """Entrypoints, options, hyperparameters, files, and nothing of Python's."""
        assert cells.complete(code) == offers

    def test_the_tab_key_offers_the_checkpoints_there_are(self, cells: Cells) -> None:
        """The newest first; those of earlier runs of the definition come after those of the session."""
        cells.ok("s = %det_load")
        cells.ok("%det_train --batches 4 --checkpoint-every 2 --wait")
        offered = cells.complete("%det_restore ")
        own = ast.literal_eval(cells.value("['latest', 'best', *(c.id for c in reversed(s.run.checkpoints()))]"))
        assert offered[: len(own)] == own
        assert offered[-1] == "--trust"

    def test_the_extension_unloads_and_reloads_and_sessions_go_on(self, cells: Cells) -> None:
        """The magics, the completion and the control channel go and come back; the session is the same."""
        cells.ok("s = %det_load")
        cells.ok("%unload_ext detjupyter")
        assert "`%det_status` not found" in cells.run("%det_status").complaint
        assert "model_def:DigitsTrial" not in cells.complete("%det_load ")
        assert cells.value("'det_control_request' in get_ipython().kernel.control_handlers") == "False"
        assert cells.ok("s").text.startswith("<Session quickstart")
        cells.ok("%load_ext detjupyter")
        cells.ok("%reload_ext detjupyter")
        cells.ok("%det_status")
        assert cells.ok("s").text.startswith("DigitsTrial ")
        assert cells.complete("%det_load mo") == ["model_def:DigitsTrial"]
        assert cells.control(None)["sessions"][0]["session_id"] == "quickstart"

    def test_the_persons_cells_import_as_if_we_were_not_there(self, cells: Cells, tmp_path: Path) -> None:
        """sys.path, the directory and the modules' names are as before, and ``import data`` is whose directory it is."""
        look = "[name for name in ('data', 'network', 'model_def') if name in sys.modules]"
        look = f"import sys, os; seen = (list(sys.path), os.getcwd(), {look})"
        cells.ok(f"{look}; before = seen")
        cells.ok("s = %det_load")
        cells.ok("%det_train --batches 3 --wait")
        cells.ok(look)
        assert cells.value("before == seen, seen[2]") == "(True, [])"
        (tmp_path / "data.py").write_text("whose = 'mine'\n", encoding="utf-8")
        cells.ok(f"sys.path.insert(0, {str(tmp_path)!r})\nimport data")
        assert cells.value("data.whose, hasattr(data, 'DigitsDataset')") == "('mine', False)"
        cells.ok("%det_reload")
        cells.ok("%det_step")
        assert cells.value("data.whose") == "'mine'"
        cells.ok("sys.path.pop(0); del sys.modules['data']")

    def test_a_long_load_says_so(self, cells: Cells, directory: Path) -> None:
        """After a second there is a line, and at the end it says how long it took."""
        path = directory / "network.py"
        path.write_text("import time; time.sleep(1.1)\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
        seen = cells.ok("s = %det_load")
        shown = re.fullmatch(r"Loading quickstart: (\d+\.\d) s", seen.text)
        assert shown
        assert float(shown[1]) >= 1.1


def train_and_fail(cells: Cells, session: str, code: str) -> str:
    """Run ``code``, which trains, and return the text of the failure: the cell's own error, or on a slow machine that of waiting."""
    error = cells.run(code).error or cells.run(f"{session}.wait()").error
    assert error is not None
    return str(error["evalue"])


class TestReturn:
    """The way back to an earlier run, in a new kernel or a new session."""

    def test_a_load_repeats_an_earlier_run(self, cells: Cells, directory: Path) -> None:
        """From its start, with a line if the files have changed; what contradicts it is refused. The Tab key offers the run."""
        cells.ok("s = %det_load --hparam learning_rate=0.02 --seed 5")
        cells.ok("%det_train --batches 6 --wait")
        run = cells.value("s.run.id").strip("'")
        assert run in cells.client.complete("%det_load --repeat ", reply=True, timeout=30)["content"]["matches"]
        path = directory / "network.py"
        path.write_text(path.read_text(encoding="utf-8") + "\nEDITED = True\n", encoding="utf-8")
        text = cells.ok(f"again = %det_load --repeat {run}").text
        assert f"Warning: {directory} has other files now, so the code of the run {run} is loaded" in text
        cells.ok("%det_train --batches 6 --wait")
        assert cells.value("again.metrics('loss')[1].tolist() == s.metrics('loss')[1].tolist()") == "True"
        assert "these cannot be given: seed" in cells.run(f"%det_load --repeat {run} --seed 4").message

    def test_a_load_continues_an_earlier_run(self, cells: Cells) -> None:
        """``--from latest``, ``best`` and an id; the Tab key offers them, and `%det_restore` offers the checkpoints of earlier runs."""
        cells.ok("%det_load --seed 3 --hparam hidden=16")
        cells.ok("%det_train --batches 4 --wait")
        run_id = ast.literal_eval(cells.value("detjupyter.current_session().run.id"))
        cells.ok("%det_load --name other --hparam hidden=16")
        offered = cells.complete("%det_restore ")
        assert offered[:2] == ["latest", "best"]
        assert any(one.startswith(run_id) for one in offered)
        seen = cells.ok("%det_restore latest")
        assert f"Restored {run_id}" in seen.text
        assert cells.value("detjupyter.current_session().batches_trained") == "4"
        assert cells.complete("%det_load --from ")[:3] == ["latest", "best", run_id]
        cells.ok(f"s = %det_load --from {run_id} --name third")
        assert cells.value("s.batches_trained, s.card().seed, s.context.get_hparam('hidden')") == "(4, 3, 16)"
        cells.ok("s = %det_load --from latest --name fourth --hparam hidden=16")
        assert cells.value("s.batches_trained") == "4"
        assert "No run has the id" in cells.run("%det_load --from nothing").message
