"""``%det_package`` packs the files that ship, ``%det_check`` trains the package in a clean process."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments
from IPython.display import display

from detjupyter.errors import DefinitionError
from detjupyter.magics.arguments import parse, positive
from detjupyter.magics.asking import ask, say
from detjupyter.magics.chosen import PATH_HELP, chosen_definition, session_of
from detjupyter.magics.interruption import Interrupted, interruptible
from detjupyter.magics.slow_notice import notice_if_slow
from detjupyter.next_step import worded

if TYPE_CHECKING:
    from detjupyter.check import CheckReport, CheckStep
    from detjupyter.definition.model_definition import ModelDefinition
    from detjupyter.session.session import Session
    from detjupyter.widgets.check_table import CheckView

_REPORT = ("detjupyter.check.report", "CheckReport")

# The newest check, and the number of the cell that already shows it, so that the returned report is not shown a second time.
_newest: list[tuple[CheckView, int]] = []


def register(shell: Any) -> None:
    """Show reports of checks as tables in ``shell``."""
    shell.display_formatter.ipython_display_formatter.for_type_by_name(*_REPORT, _show)


def unregister(shell: Any) -> None:
    """Undo :func:`register`."""
    formatter = shell.display_formatter.ipython_display_formatter
    formatter.deferred_printers.pop(_REPORT, None)
    for known in [known for known in formatter.type_printers if (known.__module__, known.__name__) == _REPORT]:
        del formatter.type_printers[known]


@magics_class
class CheckMagics(Magics):
    """Pack a model definition, and check whether the package trains in another process."""

    @magic_arguments()
    @argument("target", help="the archive to write, NAME.tar.gz, from the working directory")
    @argument("--path", help=PATH_HELP)
    @argument("--force", action="store_true", help="replace an existing archive without asking")
    @argument("--oversize", action="store_true", help="pack even if the bundle is larger than an upload allows")
    @argument("--any-size", action="store_true", help="pack even if the directory contains more than 200,000 paths")
    @line_magic
    def det_package(self, line: str) -> Any:
        """Write the files that ship into a .tar.gz: the same files give the same bytes, on any machine."""
        arguments = parse(self.det_package, line)
        definition = chosen_definition(arguments.path, any_size=arguments.any_size)
        target = Path(arguments.target).expanduser()
        with interruptible("the archive was not written."):
            if not _may_replace(target, force=arguments.force):
                return None
            with notice_if_slow(f"Packing {definition.name}"):
                report = definition.archive(target, oversize=arguments.oversize)
        from detjupyter.bundle import remarks_on
        from detjupyter.widgets.check_table import usage_lines
        from detjupyter.widgets.packaging import Package

        session = session_of(definition)
        unshipped, _ = usage_lines(session.card().usage if session is not None else None)
        packed = map(worded, remarks_on(definition.files()).sentences)
        return Package(report, (*unshipped, *packed, *_would_ship_itself(definition, report.path)))

    @magic_arguments()
    @argument("entrypoint", nargs="?", help="module:Class; by default the session's, else the config's, or the only Trial class")
    @argument("--path", help=PATH_HELP)
    @argument("--batches", type=positive, default=3, metavar="K", help="the number of batches to train, by default 3")
    @argument("--device", help="cuda, cuda:1, mps or cpu; by default the session's, else the best available device")
    @argument("--seed", type=int, help="the seed of both trials; by default the session's, else 0")
    @argument("--timeout", type=positive, metavar="S", help="end the clean process after this many seconds")
    @argument("--any-size", action="store_true", help="check even if the directory contains more than 200,000 paths")
    @line_magic
    def det_check(self, line: str) -> CheckReport:
        """Pack the definition, train a few batches of the package in a clean process, and compare with the same batches here.

        The output shows the progress of each step. The session is not affected: a second trial trains here.
        """
        arguments = parse(self.det_check, line)
        definition = chosen_definition(arguments.path, any_size=arguments.any_size)
        session = session_of(definition)
        given = _Given.of(session) if session is not None else _Given()
        from detjupyter.check import ship_check

        live = _Live(str(arguments.entrypoint or given.entrypoint or definition.name), notes=given.notes)
        try:
            with interruptible("the check was ended, and its files were deleted."):
                report = ship_check(
                    definition,
                    arguments.entrypoint or given.entrypoint,
                    given.config,
                    given.seed if arguments.seed is None else arguments.seed,
                    arguments.device or given.device,
                    batches=arguments.batches,
                    timeout_s=arguments.timeout,
                    progress=live.update,
                )
        except BaseException as error:
            live.end("interrupted" if isinstance(error, Interrupted) else "not done")
            raise
        view = live.show_report(report, session)
        shell: Any = self.shell
        _newest[:] = [(view, shell.execution_count if getattr(shell, "kernel", None) is not None else -1)]
        return report


@dataclass(frozen=True, slots=True)
class _Given:
    """The settings that a check takes from a session."""

    entrypoint: str | None = None
    config: Any = None  # a Config
    seed: int = 0
    device: str | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, session: Session) -> _Given:
        card = session.card()
        changed = "The check uses the files on disk, which are newer than the session's code. `%det_reload` applies them to the session."
        return cls(card.entrypoint, session.config, card.seed, card.device, (changed,) if card.changed else ())


@dataclass(slots=True)
class _Live:
    """The table in the cell's output while the check runs: one display, updated in place. A terminal shows only the result."""

    entrypoint: str
    notes: tuple[str, ...] = ()
    _steps: dict[str, CheckStep] = field(default_factory=dict)
    _running: str | None = None
    _handle: Any = None

    def update(self, step: CheckStep) -> None:
        """Update a step that begins or has ended."""
        from detjupyter.check import CheckStep
        from detjupyter.check.report import STEPS

        self._steps = self._steps or {name: CheckStep(name) for name in STEPS}
        begins = step.ok is None and not step.seconds
        self._running = step.name if begins else None
        if not begins:
            self._steps[step.name] = step
        self._show(self._view())

    def end(self, how: str) -> None:
        """Show that the check ended before its last step."""
        running, self._running = self._running, None
        if running is not None:
            from detjupyter.check import CheckStep

            self._steps[running] = CheckStep(running, detail=how)
            self._show(self._view(how))

    def show_report(self, report: CheckReport, session: Session | None) -> CheckView:
        """Show the result, and return the view."""
        from detjupyter.widgets.check_table import CheckView

        usage = session.card().usage if session is not None else None
        view = CheckView(report.entrypoint, report.steps, report, usage=usage, notes=self.notes)
        self._show(view)
        return view

    def _view(self, ended: str | None = None) -> CheckView:
        from detjupyter.widgets.check_table import CheckView

        return CheckView(self.entrypoint, tuple(self._steps.values()), running=self._running, ended=ended, notes=self.notes)

    def _show(self, view: CheckView) -> None:
        from IPython import get_ipython

        from detjupyter.widgets.check_table import check_bundle

        shell: Any = get_ipython()
        if getattr(shell, "kernel", None) is None:  # lines of a terminal cannot be updated
            return
        if self._handle is None:
            self._handle = display(check_bundle(view), raw=True, display_id=True)
        else:
            self._handle.update(check_bundle(view), raw=True)


def _may_replace(target: Path, *, force: bool) -> bool:
    """Return whether to write the archive: it does not exist, or the user agrees to replace it.

    Raises:
        DefinitionError: The file exists, and the user cannot be asked.
    """
    if force or not target.is_file():
        return True
    answer = ask(f"{target} already exists. Replace it?")
    if answer is None:
        raise DefinitionError(
            f"{target.name} already exists, and the notebook cannot ask for confirmation. Nothing was packed.",
            path=str(target.absolute()),
            hint="`--force` replaces it; or choose another name.",
        )
    if not answer:
        say("Nothing was packed.")
    return answer


def _would_ship_itself(definition: ModelDefinition, archive: Path) -> tuple[str, ...]:
    """Return a warning if the archive was written to a path that ships, which is easily overlooked."""
    if definition.is_file or not archive.is_relative_to(definition.root):
        return ()
    from detjupyter.bundle import explain

    name = archive.relative_to(definition.root).as_posix()
    if not explain(definition.root, name, defaults=definition.defaults).included:
        return ()
    return (f"{name} is inside the definition, so an upload would ship it. `%det_files --exclude {name}` excludes it.",)


def _show(report: CheckReport) -> None:
    from IPython import get_ipython

    from detjupyter.widgets.check_table import CheckView, check_bundle

    shell: Any = get_ipython()
    view = CheckView(report.entrypoint, report.steps, report)
    if _newest and _newest[0][0].report is report:
        view, cell = _newest[0]
        if cell == shell.execution_count:
            _newest[0] = (view, -1)  # a later use in the same cell shows it again
            return
    display(check_bundle(view), raw=True)
