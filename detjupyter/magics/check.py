"""What ships, elsewhere: ``%det_package`` packs it, ``%det_check`` trains it in a clean process."""

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
from detjupyter.magics.patience import patience

if TYPE_CHECKING:
    from detjupyter.check import CheckReport, CheckStep
    from detjupyter.definition.model_definition import ModelDefinition
    from detjupyter.training.session import Session
    from detjupyter.widgets.check_table import CheckView

_REPORT = ("detjupyter.check.report", "CheckReport")

# The newest check, and the number of the cell that shows it already: the report that the cell returns is not shown a second time.
_newest: list[tuple[CheckView, int]] = []


def register(shell: Any) -> None:
    """Show reports of checks as tables in ``shell``."""
    shell.display_formatter.ipython_display_formatter.for_type_by_name(*_REPORT, _show)


def unregister(shell: Any) -> None:
    """Show them so no more."""
    formatter = shell.display_formatter.ipython_display_formatter
    formatter.deferred_printers.pop(_REPORT, None)
    for known in [known for known in formatter.type_printers if (known.__module__, known.__name__) == _REPORT]:
        del formatter.type_printers[known]


@magics_class
class CheckMagics(Magics):
    """Pack a model definition, and see whether the package trains elsewhere."""

    @magic_arguments()
    @argument("target", help="the archive to write, NAME.tar.gz, from the working directory")
    @argument("--path", help=PATH_HELP)
    @argument("--force", action="store_true", help="replace an archive that is there without asking")
    @argument("--oversize", action="store_true", help="pack more than an upload may hold all the same")
    @argument("--any-size", action="store_true", help="pack although the directory holds more than 200,000 paths")
    @line_magic
    def det_package(self, line: str) -> Any:
        """Write exactly the files that ship into a .tar.gz: the same files give the same bytes, on any machine."""
        arguments = parse(self.det_package, line)
        definition = chosen_definition(arguments.path, any_size=arguments.any_size)
        target = Path(arguments.target).expanduser()
        with interruptible("the archive was not written."):
            if not _may_replace(target, force=arguments.force):
                return None
            with patience(f"Packing {definition.name}"):
                report = definition.archive(target, oversize=arguments.oversize)
        from detjupyter.widgets.check_table import usage_lines
        from detjupyter.widgets.shipment import Package

        session = session_of(definition)
        unshipped, _ = usage_lines(session.card().usage if session is not None else None)
        return Package(report, (*unshipped, *_would_ship_itself(definition, report.path)))

    @magic_arguments()
    @argument("entrypoint", nargs="?", help="module:Class; by default the session's, else the config's, or the only Trial class")
    @argument("--path", help=PATH_HELP)
    @argument("--batches", type=positive, default=3, metavar="K", help="how many batches both sides train, by default 3")
    @argument("--device", help="cuda, cuda:1, mps or cpu; by default the session's, else the best there is")
    @argument("--seed", type=int, help="what both sides are built with; by default the session's, else 0")
    @argument("--timeout", type=positive, metavar="S", help="end the clean process after so many seconds")
    @argument("--any-size", action="store_true", help="check although the directory holds more than 200,000 paths")
    @line_magic
    def det_check(self, line: str) -> CheckReport:
        """Pack the definition, train a few batches of the package in a clean process, and compare with the same batches here.

        Each step shows as it is done. The session stays as it is: what trains here is a second trial of its own.
        """
        arguments = parse(self.det_check, line)
        definition = chosen_definition(arguments.path, any_size=arguments.any_size)
        session = session_of(definition)
        given = _Given.of(session) if session is not None else _Given()
        from detjupyter.check import ship_check

        live = _Live(str(arguments.entrypoint or given.entrypoint or definition.name), notes=given.notes)
        try:
            with interruptible("the check was ended; nothing of it is left."):
                report = ship_check(
                    definition,
                    arguments.entrypoint or given.entrypoint,
                    given.config,
                    given.seed if arguments.seed is None else arguments.seed,
                    arguments.device or given.device,
                    batches=arguments.batches,
                    timeout_s=arguments.timeout,
                    progress=live.hear,
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
    """What a check takes over from a session."""

    entrypoint: str | None = None
    config: Any = None  # a Config
    seed: int = 0
    device: str | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, session: Session) -> _Given:
        card = session.card()
        changed = "What is on disk is checked, and that is newer than the session's code: `%det_reload` takes it over."
        return cls(card.entrypoint, session.config, card.seed, card.device, (changed,) if card.changed else ())


@dataclass(slots=True)
class _Live:
    """The table in the cell's output while the check runs: one display, updated in place; a terminal has none."""

    entrypoint: str
    notes: tuple[str, ...] = ()
    _steps: dict[str, CheckStep] = field(default_factory=dict)
    _running: str | None = None
    _handle: Any = None

    def hear(self, step: CheckStep) -> None:
        """Take in that a step begins, or ended."""
        from detjupyter.check import CheckStep
        from detjupyter.check.report import STEPS

        self._steps = self._steps or {name: CheckStep(name) for name in STEPS}
        begins = step.ok is None and not step.seconds
        self._running = step.name if begins else None
        if not begins:
            self._steps[step.name] = step
        self._show(self._view())

    def end(self, how: str) -> None:
        """Leave the table as far as it came."""
        running, self._running = self._running, None
        if running is not None:
            from detjupyter.check import CheckStep

            self._steps[running] = CheckStep(running, detail=how)
            self._show(self._view(how))

    def show_report(self, report: CheckReport, session: Session | None) -> CheckView:
        """Show the end, and return what is shown."""
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
        if getattr(shell, "kernel", None) is None:  # lines of a terminal do not change any more
            return
        if self._handle is None:
            self._handle = display(check_bundle(view), raw=True, display_id=True)
        else:
            self._handle.update(check_bundle(view), raw=True)


def _may_replace(target: Path, *, force: bool) -> bool:
    """Return whether the archive may be written: nothing is there, or a person agrees.

    Raises:
        DefinitionError: Something is there, and nobody can be asked.
    """
    if force or not target.is_file():
        return True
    answer = ask(f"{target} is there already. Replace it?")
    if answer is None:
        raise DefinitionError(
            f"{target.name} is there already, and nobody can be asked here: nothing was packed.",
            path=str(target.absolute()),
            hint="`--force` replaces it; or choose another name.",
        )
    if not answer:
        say("Nothing was packed.")
    return answer


def _would_ship_itself(definition: ModelDefinition, archive: Path) -> tuple[str, ...]:
    """Return a sentence about an archive that was written among the files that ship, as it is easily overlooked."""
    if definition.is_file or not archive.is_relative_to(definition.root):
        return ()
    from detjupyter.bundle import explain

    name = archive.relative_to(definition.root).as_posix()
    if not explain(definition.root, name, defaults=definition.defaults).included:
        return ()
    return (f"{name} stands in the definition itself, so an upload would ship it: `%det_files --exclude {name}` leaves it out.",)


def _show(report: CheckReport) -> None:
    from IPython import get_ipython

    from detjupyter.widgets.check_table import CheckView, check_bundle

    shell: Any = get_ipython()
    view = CheckView(report.entrypoint, report.steps, report)
    if _newest and _newest[0][0].report is report:
        view, cell = _newest[0]
        if cell == shell.execution_count:
            _newest[0] = (view, -1)  # the cell may show it again on purpose
            return
    display(check_bundle(view), raw=True)
