"""Magics that load a model definition: ``%det_load`` and ``%det_reload``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments

from detjupyter.errors import DefinitionTooLargeError
from detjupyter.magics.arguments import parse
from detjupyter.magics.asking import ask, say
from detjupyter.magics.interruption import interruptible
from detjupyter.magics.restoring import restore
from detjupyter.magics.slow_notice import notice_if_slow

if TYPE_CHECKING:
    from pathlib import Path

    from detjupyter.session.session import Session


@magics_class
class DefinitionMagics(Magics):
    """Load a model definition, and reload it."""

    @magic_arguments()
    @argument(
        "entrypoint",
        nargs="?",
        help="module:Class, for example model_def:MNistTrial, or a .py file; by default the config's, or the only Trial class",
    )
    @argument("--path", default=".", help="the model definition, a directory or one .py file; by default the notebook's directory")
    @argument("--config", help="a YAML file; by default const.yaml in the model definition, else its only config")
    @argument("--hparam", nargs="+", action="extend", default=[], metavar="K=V", help="hyperparameters that override the config's")
    @argument("--seed", type=int, help="seeds Python, numpy, the framework and the sampling of hyperparameter ranges")
    @argument("--device", help="cuda, cuda:1, mps or cpu; by default the best available device")
    @argument("--name", help="the name of the session; a new name loads a second session and keeps the first")
    @argument(
        "--from", dest="from_run", metavar="RUN", help="continue a run: its id, or `latest` or `best` of this definition's earlier runs"
    )
    @argument("--repeat", metavar="RUN", help="begin a run again, with its code and its values; only --name can be given, too")
    @argument("--compile", action="store_true", help="compile the models with torch.compile")
    @argument("--startup-hook", action="store_true", help="run the definition's startup-hook.sh first")
    @argument("--any-size", action="store_true", help="load even if the directory contains more than 200,000 paths")
    @line_magic
    def det_load(self, line: str) -> Session:
        """Load a Trial class, build its trial and show its card.

        The session becomes the current one, which the other magics use. ``session = %det_load model_def:MyTrial`` assigns it to a variable.
        Values are YAML: ``--hparam lr=1e-3 'layers=[64, 32]' name="my net"``; ``{lr}`` inserts the value of a Python variable.
        """
        arguments = parse(self.det_load, line)
        from detjupyter.definition.entrypoint import file_as_path
        from detjupyter.definition.model_definition import ModelDefinition
        from detjupyter.magics.shown_result import is_shown
        from detjupyter.magics.values import is_entrypoint, parse_assignments

        entrypoint, hparams = arguments.entrypoint, arguments.hparam
        if entrypoint is None and hparams and is_entrypoint(hparams[-1], arguments.path):
            entrypoint = hparams.pop()  # the entrypoint was written last, as in the help, and --hparam took it
        entrypoint, path = file_as_path(entrypoint, arguments.path)
        start: Any = None
        values = parse_assignments(hparams)
        if arguments.from_run is not None:
            from detjupyter.session.loading import Start

            start = Start(entrypoint, path, arguments.config, values, arguments.seed, arguments.from_run).as_in_run()
            entrypoint, path = start.entrypoint, start.path
        if arguments.repeat is not None:
            return _load_again(arguments, entrypoint, path, values)
        definition = ModelDefinition(path)

        def load(*, any_size: bool) -> Session:
            with interruptible("nothing was loaded."), notice_if_slow(f"Loading {entrypoint or definition.name}"):
                from detjupyter.session.loading import load

                return load(
                    entrypoint,
                    path,
                    arguments.config if start is None else start.config,
                    values if start is None else start.hparams,
                    arguments.seed if start is None else start.seed,
                    arguments.device,
                    name=arguments.name or _name_for(definition),
                    compile=arguments.compile,
                    startup_hook=say if arguments.startup_hook else False,
                    any_size=any_size,
                    warn=_nothing if is_shown(self.shell) else _warn,  # the card shows them, too
                )

        try:
            session = load(any_size=arguments.any_size)
        except DefinitionTooLargeError as error:
            with interruptible("nothing was loaded."):
                if not ask(f"There are more than {error.most_paths:,} paths in {definition.path}. Scan all of them?"):
                    raise
            session = load(any_size=True)
        if start is not None:
            restore(session, start.checkpoint)
        return session

    @magic_arguments()
    @line_magic
    def det_reload(self, line: str) -> Session:
        """Import the edited definition and continue with the same weights; if it cannot be loaded, nothing changes."""
        parse(self.det_reload, line)
        from detjupyter.magics.shown_result import is_shown
        from detjupyter.session.loading import current_session

        session = current_session()
        outcome = "the reload continues in the background; `%det_status` shows whether it succeeds."
        with interruptible(outcome), notice_if_slow(f"Reloading {session.definition.name}"):
            report = session.reload()
        say(str(report))
        if not is_shown(self.shell):
            for warning in session.card().warnings:
                _warn(warning)
        return session


def _load_again(arguments: Any, entrypoint: str | None, path: str | Path, values: dict[str, Any]) -> Session:
    """Begin a run again; ``load`` refuses the arguments that contradict it."""
    from detjupyter.session.loading import load

    with interruptible("nothing was loaded."), notice_if_slow(f"Loading the run {arguments.repeat}"):
        return load(
            *(entrypoint, path, arguments.config, values or None, arguments.seed, arguments.device),
            name=arguments.name,
            compile=arguments.compile,
            startup_hook=arguments.startup_hook,
            any_size=arguments.any_size,
            warn=_warn,
            from_run=arguments.from_run,
            repeat=arguments.repeat,
        )


def _warn(text: str) -> None:
    say(f"Warning: {text}")


def _nothing(_: str) -> None:
    """The card shows the warning."""


def _name_for(definition: Any) -> str:
    """Return the definition's name for its session, or a free name if a session of another definition has that name."""
    from detjupyter.session.registry import registry

    for session in registry.all():
        if session.session_id == definition.name and session.definition.root != definition.root:
            return registry.free_name(definition.name)
    return str(definition.name)
