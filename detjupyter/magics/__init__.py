"""The magics ``%det_load``, ``%det_train`` and so on, each a thin call of the public API.

``%load_ext detjupyter`` registers them, teaches IPython to show our objects, and opens the kernel's control channel for the sidebar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detjupyter.session.registry import Viewable


def magics_classes() -> tuple[type, ...]:
    """Return the classes of the magics, in the order of the reference in the documentation."""
    from detjupyter.magics.cell_file import CellFileMagics
    from detjupyter.magics.check import CheckMagics
    from detjupyter.magics.definition import DefinitionMagics
    from detjupyter.magics.files import FileMagics
    from detjupyter.magics.history import HistoryMagics
    from detjupyter.magics.script import ScriptMagics
    from detjupyter.magics.training import TrainingMagics

    return (DefinitionMagics, TrainingMagics, HistoryMagics, FileMagics, CellFileMagics, CheckMagics, ScriptMagics)


def load_extension(shell: Any) -> None:  # Any: IPython is imported only once it is there
    """Register everything with ``shell``, an ``InteractiveShell``."""
    from detjupyter.compat import kernel
    from detjupyter.magics import cell_end, check, completion, control_channel, display
    from detjupyter.next_step import Wording, set_wording
    from detjupyter.protocol.origins import Origin, set_default_origin
    from detjupyter.session.registry import registry

    for magics in magics_classes():
        shell.register_magics(magics)
    display.register(shell)
    check.register(shell)
    completion.register(shell)
    cell_end.register(shell)
    control_channel.open_on(shell)
    registry.show = _show
    set_default_origin(Origin.CELL)
    set_wording(Wording.MAGICS)
    kernel.offer()


def unload_extension(shell: Any) -> None:
    """Remove the magics, their completion, the display and the control channel."""
    from detjupyter.compat import kernel
    from detjupyter.magics import cell_end, check, completion, control_channel, display
    from detjupyter.next_step import Wording, set_wording
    from detjupyter.protocol.origins import Origin, set_default_origin
    from detjupyter.session.registry import registry

    for magics in shell.magics_manager.magics.values():  # those of a line, those of a cell
        for name in [name for name in magics if name.startswith("det_")]:
            del magics[name]
    completion.unregister(shell)
    cell_end.unregister(shell)
    check.unregister(shell)
    display.unregister(shell)
    control_channel.close_on(shell)
    registry.show = lambda _: None
    set_default_origin(Origin.SCRIPT)
    set_wording(Wording.PYTHON)
    kernel.withdraw()


def _show(trained: Viewable) -> None:
    """Show a training of the user's own code: `Trainer.fit` in a cell, or a script that reports."""
    from detjupyter.widgets.shown import show_live

    show_live(trained.channel)
