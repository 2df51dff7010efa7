"""Overrides of hyperparameters that the code of a definition does not read."""

from __future__ import annotations

import pytest

from detjupyter.definition.unread_overrides import unread_overrides


def unread(code: str, *names: str) -> list[str]:
    """Return the names that are reported."""
    return [sentence.split("`")[1] for sentence in unread_overrides(names, {"model_def.py": code.encode()})]


@pytest.mark.parametrize(
    "code",
    [
        "context.get_hparam('lr')",
        "context.get_hparams()['lr']",
        "hparams.lr",
        "getattr(hparams, 'lr')",
        "names = 'hidden,lr'.split(',')",
        "def build(width, *, lr): pass",
        "class Config:\n    def read(self):\n        return self.h['opt']['lr']",
    ],
)
def test_what_the_code_mentions_may_be_read(code: str) -> None:
    """As a string, an attribute or a parameter."""
    assert unread(code, "lr") == []


@pytest.mark.parametrize("code", ["", "Adam(lr=0.1)", "lr = 1", "x = context.get_hparam('learning_rate')", "def lr(): pass"])
def test_what_the_code_does_not_mention_is_reported(code: str) -> None:
    """The keyword of a call and a variable are no way to read it."""
    assert unread(code, "lr") == ["lr"]


def test_similar_names_are_suggested() -> None:
    """From the code, since there may be no config."""
    (sentence,) = unread_overrides(["learning_rat"], {"model_def.py": b"context.get_hparam('learning_rate')"})
    assert sentence.endswith("Did you mean `learning_rate`?")


@pytest.mark.parametrize("code", ["Net(**context.get_hparams())", "Net(**self.hp)", "Net(**cfg['net'])", "def broken("])
def test_nothing_is_reported_if_the_names_are_not_in_the_code(code: str) -> None:
    """A dict of hyperparameters that is unpacked, or a file that cannot be parsed."""
    assert unread(code, "lr") == []


def test_keyword_arguments_that_are_passed_on_hide_nothing() -> None:
    """`**kwargs` of another call are not hyperparameters."""
    assert unread("def f(*args, **kwargs):\n    super().f(*args, **kwargs)", "lr") == ["lr"]


def test_a_nested_name_is_read_by_any_of_its_parts() -> None:
    """The code may pass on the inner dict."""
    assert unread("build(context.get_hparam('optimizer'))", "optimizer.lr", "scheduler.gamma") == ["scheduler.gamma"]


def test_the_batch_size_is_read_by_the_context() -> None:
    """By each of its methods."""
    assert unread("context.get_per_slot_batch_size()", "global_batch_size") == []
    assert unread("context.get_hparams()", "global_batch_size") == ["global_batch_size"]
