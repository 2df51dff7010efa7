"""``%det_restore`` asks before anything that could run code is read."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
import torch
from support.definition import Definition
from support.layouts import as_lists, foreign, saved_state


class TestTheMagic:
    """``%det_restore`` asks before anything that could run code is read."""

    @pytest.fixture
    def untrusted(self, line: Definition, tmp_path: Path) -> Path:
        """Return a checkpoint that needs trust, of three batches of a session that is now the current one."""
        session = line.load()
        session.step(3)
        state = {**as_lists(saved_state(session.checkpoint())), "callbacks": {"mine": argparse.Namespace(best=1)}}
        directory = foreign(tmp_path)
        torch.save(state, directory / "state_dict.pth")
        (directory / "metadata.json").write_text(json.dumps({"steps_completed": 3}))
        session.step(1)
        return directory

    @pytest.mark.parametrize(("answer", "option", "batches"), [("y", "", 3), ("n", "", 4), (None, "", 4), (None, "--trust", 3)])
    def test_it_asks_once(self, answer: str | None, option: str, batches: int, untrusted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Yes restores, no does not; if the user cannot be asked, ``--trust`` gives the answer."""
        from detjupyter.errors import UntrustedCheckpointError
        from detjupyter.magics.training import TrainingMagics
        from detjupyter.session.registry import registry

        questions = []

        def reply(question: str) -> str:
            questions.append(question)
            if answer is None:
                raise EOFError
            return answer

        monkeypatch.setattr("builtins.input", reply)
        magics = TrainingMagics(shell=None)
        if batches == 3:
            magics.det_restore(f"{untrusted} {option}")
        else:
            with pytest.raises(UntrustedCheckpointError, match="trust=True"):
                magics.det_restore(f"{untrusted} {option}")
        assert registry.get(None).batches_trained == batches
        assert len(questions) == (not option)
