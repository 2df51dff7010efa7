"""Magics that train: ``%det_train`` and what steers it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments

from detjupyter.errors import UntrustedCheckpointError
from detjupyter.magics.arguments import parse
from detjupyter.magics.asking import ask
from detjupyter.magics.display import Metrics
from detjupyter.magics.interruption import interruptible
from detjupyter.protocol.commands import Pause

if TYPE_CHECKING:
    from detjupyter.protocol.records import CheckpointRecord
    from detjupyter.training.session import Session


@magics_class
class TrainingMagics(Magics):
    """Train the current session and steer it; every cell stays usable meanwhile."""

    @magic_arguments()
    @argument("--batches", type=int, metavar="N", help="train for so many batches more")
    @argument("--epochs", type=int, metavar="N", help="train for so many passes over the data more, with a validation after each")
    @argument("--records", type=int, metavar="N", help="train for so many records more")
    @argument("--validate-every", type=int, metavar="N", help="validate every N batches, and at the end")
    @argument("--checkpoint-every", type=int, metavar="N", help="write a checkpoint every N batches, and at the end")
    @argument("--stop-at-nan", action="store_true", help="end the training as an error when a metric is NaN or infinite")
    @argument("--wait", action="store_true", help="return when the training is over; an interrupt pauses it")
    @line_magic
    def det_train(self, line: str) -> None:
        """Train in the background and show it live; without a length, as the config says, else for one epoch."""
        arguments = parse(self.det_train, line)
        session = _current()
        no_length = arguments.batches is arguments.epochs is arguments.records is None and not session.has_planned_length
        with interruptible("a training that has begun goes on; `%det_stop` ends it."):
            from detjupyter.magics.waiting import wait_for_first_batch, wait_for_plan, wait_with_progress
            from detjupyter.widgets.live import show_live

            session.train(
                batches=arguments.batches,
                epochs=1 if no_length else arguments.epochs,
                records=arguments.records,
                validate_every=arguments.validate_every,
                checkpoint_every=arguments.checkpoint_every,
                stop_at_nan=arguments.stop_at_nan,
            )
            wait_for_plan(session)
            show_live(session.channel)
            if not arguments.wait:
                wait_for_first_batch(session)
        if arguments.wait:
            wait_with_progress(session)

    @magic_arguments()
    @line_magic
    def det_pause(self, line: str) -> None:
        """Hold the training after the batch under way; the GPU is free for your cells, the weights stay where they are."""
        parse(self.det_pause, line)
        with interruptible("the training is held after the batch under way."):
            _current().pause()
        _say()

    @magic_arguments()
    @line_magic
    def det_resume(self, line: str) -> None:
        """Go on with a paused training."""
        parse(self.det_resume, line)
        _current().resume()
        _say()

    @magic_arguments()
    @argument("batches", nargs="?", type=int, default=1, metavar="N", help="how many batches to train, by default one")
    @line_magic
    def det_step(self, line: str) -> None:
        """Train a few batches more, then pause; an interrupt pauses at once."""
        batches = parse(self.det_step, line).batches
        session = _current()
        with interruptible("the training is held after the batch under way.", then=lambda: session.send(Pause())):
            session.step(batches)
        _say()

    @magic_arguments()
    @line_magic
    def det_stop(self, line: str) -> None:
        """End the training after the batch under way; weights and history stay, and %det_train goes on from here."""
        parse(self.det_stop, line)
        with interruptible("the training ends after the batch under way."):
            _current().stop()
        _say()

    @magic_arguments()
    @line_magic
    def det_validate(self, line: str) -> dict[str, Any]:
        """Validate now and return the metrics; a training under way goes on afterwards."""
        parse(self.det_validate, line)
        with interruptible("the validation goes on; `%det_stop` ends it."):
            return Metrics(_current().validate())

    @magic_arguments()
    @line_magic
    def det_checkpoint(self, line: str) -> CheckpointRecord:
        """Write a checkpoint now and return where it is."""
        parse(self.det_checkpoint, line)
        with interruptible("the checkpoint is being written all the same."):
            return _current().checkpoint()

    @magic_arguments()
    @argument("checkpoint", help="a checkpoint's id, or its directory; or `best` or `latest` of this session's")
    @argument("--trust", action="store_true", help="unpickle objects of any class, which can run any code; some old checkpoints hold such")
    @line_magic
    def det_restore(self, line: str) -> None:
        """Put weights, optimizers and random states back to a checkpoint, of Determined's, too; asks before anything in it is run."""
        arguments = parse(self.det_restore, line)
        try:
            _restore(arguments.checkpoint, trust=arguments.trust)
        except UntrustedCheckpointError as error:
            if not ask(f"{error.message} Trust it?"):
                raise
            _restore(arguments.checkpoint, trust=True)
        _say()


def _current() -> Session:
    # The registry knows whether anything is loaded without importing what a training needs.
    from detjupyter.training.registry import registry

    return registry.get(None)


def _restore(checkpoint: str, *, trust: bool) -> None:
    with interruptible("the checkpoint is being restored all the same."):
        _current().restore(checkpoint, trust=trust)


def _say() -> None:
    """Print in one line where the current session stands."""
    from detjupyter.widgets.summary import headline

    print(headline(_current().record()))  # noqa: T201  a person typed the magic and waits for an answer
