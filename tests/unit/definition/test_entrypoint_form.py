from __future__ import annotations

import pytest

from detjupyter.definition import Entrypoint
from detjupyter.errors import EntrypointError


@pytest.mark.parametrize(
    ("text", "module", "attributes"),
    [
        (":MNistTrial", "", ("MNistTrial",)),
        ("model_def:CIFAR10Trial", "model_def", ("CIFAR10Trial",)),
        ("determined_lib.trial:trial_classes.NestedTrial", "determined_lib.trial", ("trial_classes", "NestedTrial")),
        ("модель:Класс", "модель", ("Класс",)),
        ("  model_def:T ", "model_def", ("T",)),
    ],
)
def test_module_and_object_reference_are_read(text: str, module: str, attributes: tuple[str, ...]) -> None:
    """The three documented forms are read, and written again as they were."""
    entrypoint = Entrypoint.parse(text)
    assert (entrypoint.module, entrypoint.attributes) == (module, attributes)
    assert str(entrypoint) == text.strip()
    assert Entrypoint.parse(entrypoint) is entrypoint
    assert entrypoint.class_name == attributes[-1]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "empty"),
        ("model_def", "no colon"),
        ("model_def:", "no class"),
        (":", "no class"),
        ("a:b:c", "more than one colon"),
        ("model def:T", "space"),
        ("model_def: T", "space"),
        ("my model.py:T", "space"),
        ("model_def:a b", "space"),
        ("model_def::T", "more than one colon"),
        ("::", "more than one colon"),
        (":.", "dot"),
        ("model-def:T", "'model-def'"),
        ("class:T", "a Python keyword"),
        ("model_def:None", "a Python keyword"),
        ("../model_def:T", "path"),
        ("model_def:T()", "calls"),
        ("1st:T", "'1st'"),
        ("pkg..mod:T", "dot"),
        ("model_def:T.", "dot"),
    ],
)
def test_a_malformed_entrypoint_says_what_is_wrong_and_shows_the_right_form(text: str, complaint: str) -> None:
    """The message quotes the value, the hint gives an example."""
    with pytest.raises(EntrypointError) as caught:
        Entrypoint.parse(text)
    assert complaint in caught.value.message
    assert repr(text) in caught.value.message
    assert caught.value.entrypoint == text
    assert "model_def:MNistTrial" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "complaint", "meant"),
    [
        ("pkg/model_def:T", "path", "pkg.model_def:T"),
        ("./pkg/model_def.py:T", "path", "pkg.model_def:T"),
        ("pkg\\model_def:T", "path", "pkg.model_def:T"),
        ("model_def.py:T", ".py", "model_def:T"),
    ],
)
def test_a_path_is_shown_as_the_module_that_it_means(text: str, complaint: str, meant: str) -> None:
    """With slashes, a suffix, or both."""
    with pytest.raises(EntrypointError) as caught:
        Entrypoint.parse(text)
    assert complaint in caught.value.message
    assert caught.value.hint == f"Did you mean {meant}?"


@pytest.mark.parametrize("value", [None, 3, ["model_def:T"]])
def test_what_is_no_text_is_no_entrypoint(value: object) -> None:
    """One message, not a failure of ours."""
    with pytest.raises(EntrypointError, match="is not text"):
        Entrypoint.parse(value)  # type: ignore[arg-type]


def test_the_nearest_candidate_is_offered() -> None:
    """The error suggests the whole entrypoint if the module or the colon is missing."""
    candidates = [Entrypoint.parse("model_def:DigitsTrial"), Entrypoint.parse("other:GanTrial")]
    for text in ("DigitsTrial", "model_def.DigitsTrial", "model_def:"):
        with pytest.raises(EntrypointError) as caught:
            Entrypoint.parse(text, candidates=candidates)
        assert caught.value.hint == "Did you mean model_def:DigitsTrial?", text
