"""Records as JSON: what was written is read again, in every form that a field may have."""

from __future__ import annotations

from typing import Any

import pytest

from detjupyter.errors import ProtocolError
from detjupyter.protocol.recipe import LoadRecipe
from detjupyter.protocol.wire import decode, encode


@pytest.mark.parametrize("config", [None, "/definition/other.yaml", {"hyperparameters": {"lr": 0.1}}, {}])
def test_a_recipe_is_read_as_it_was_written(config: dict[str, Any] | str | None) -> None:
    """Its config may be the keys, or the path of a file."""
    recipe = LoadRecipe(entrypoint="model_def:Trial", path="/definition", config=config, seed=1)

    assert decode(LoadRecipe, encode(recipe)) == recipe


def test_text_in_the_place_of_an_object_is_an_error_of_the_protocol() -> None:
    """And not one of Python, which no caller expects."""
    with pytest.raises(ProtocolError, match="not a valid LoadRecipe: 'lr=1' is not an object"):
        decode(LoadRecipe, {"entrypoint": None, "path": "/definition", "hparams": "lr=1"})
