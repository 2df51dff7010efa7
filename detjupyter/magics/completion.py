"""Tab completion: entrypoints and paths of ``%det_load``, the options of every magic."""

from __future__ import annotations

from typing import Any

from detjupyter.errors import DetJupyterError


def register(shell: Any) -> None:
    """Complete our magics in ``shell``."""
    names = [name for name in shell.magics_manager.magics["line"] if name.startswith("det_")]
    for name in names:
        shell.set_hook("complete_command", _complete, str_key=f"%{name}")


def _complete(shell: Any, event: Any) -> list[str]:
    """Return what may come next on the line: entrypoints, checkpoints' ids, else options."""
    name, _, rest = event.line.lstrip().lstrip("%").partition(" ")
    magic = shell.find_line_magic(name)
    parser = getattr(magic, "parser", None)
    options = [option for action in parser._actions for option in action.option_strings] if parser is not None else []
    typed = rest.split()
    if event.symbol.startswith("-"):
        return options
    if name == "det_load" and not [word for word in typed if word != event.symbol]:
        return [*_entrypoints(), *options]
    return options


def _entrypoints() -> list[str]:
    from detjupyter.definition.model_definition import ModelDefinition

    try:
        return [str(entrypoint) for entrypoint in ModelDefinition(".").entrypoints()]
    except DetJupyterError:
        return []
