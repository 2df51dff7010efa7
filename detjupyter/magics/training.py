"""Magics that train and control a training: ``%det_train``, ``%det_pause`` and so on."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments

from detjupyter.magics.arguments import parse
from detjupyter.magics.asking import say
from detjupyter.magics.display import Metrics
from detjupyter.magics.interruption import interruptible
from detjupyter.magics.restoring import restore

if TYPE_CHECKING:
    from detjupyter.protocol.records import CheckpointRecord
    from detjupyter.session.session import Session


@magics_class
class TrainingMagics(Magics):
    """Train the current session and control it; other cells can run at the same time."""

    @magic_arguments()
    @argument("--batches", type=int, metavar="N", help="train for this many more batches")
    @argument("--epochs", type=int, metavar="N", help="train for this many more epochs, with a validation after each")
    @argument("--records", type=int, metavar="N", help="train for this many more records")
    @argument("--validate-every", type=int, metavar="N", help="validate every N batches, and at the end")
    @argument("--checkpoint-every", type=int, metavar="N", help="save a checkpoint every N batches, and at the end")
    @argument("--stop-at-nan", action="store_true", help="end the training with an error if a metric is NaN or infinite")
    @argument("--wait", action="store_true", help="return when the training has ended; an interrupt pauses it")
    @line_magic
    def det_train(self, line: str) -> None:
        """Train in the background and show the live view; the default length is that of the config, else one epoch."""
        arguments = parse(self.det_train, line)
        session = _current()
        no_length = arguments.batches is arguments.epochs is arguments.records is None and not session.has_planned_length
        with session.awaited() if arguments.wait else nullcontext():  # what the first batch sets in the process is the trial's
            with interruptible("a training that has begun continues; `%det_stop` ends it."):
                from detjupyter.magics.shown_error import shown_in_output
                from detjupyter.magics.waiting import wait_for_first_batch, wait_for_plan, wait_with_progress
                from detjupyter.widgets.shown import show_live

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
                    with shown_in_output(self.shell):
                        wait_for_first_batch(session)
            if arguments.wait:
                with shown_in_output(self.shell):
                    wait_with_progress(session)

    @magic_arguments()
    @line_magic
    def det_pause(self, line: str) -> None:
        """Pause the training after the current batch; the GPU is then free for your cells, and the weights remain on it."""
        parse(self.det_pause, line)
        with interruptible("the training pauses after the current batch."):
            _current().pause()
        _say()

    @magic_arguments()
    @line_magic
    def det_resume(self, line: str) -> None:
        """Resume a paused training."""
        parse(self.det_resume, line)
        session = _current()
        session.resume()
        _say()
        if session.error is not None:  # the first batch has already failed
            raise session.error.with_traceback(None)

    @magic_arguments()
    @argument("batches", nargs="?", type=int, default=1, metavar="N", help="the number of batches to train, by default one")
    @line_magic
    def det_step(self, line: str) -> None:
        """Train a few more batches, then pause; an interrupt pauses after the current batch."""
        from detjupyter.protocol.commands import Pause

        batches = parse(self.det_step, line).batches
        session = _current()
        with interruptible("the training pauses after the current batch.", then=lambda: session.send(Pause())):
            session.step(batches)
        _say()

    @magic_arguments()
    @argument("--force", action="store_true", help="do not wait for a batch that does not end: close the session now; the run is kept")
    @line_magic
    def det_stop(self, line: str) -> None:
        """End the training after the current batch; weights and history are kept, and %det_train continues from here."""
        arguments = parse(self.det_stop, line)
        if arguments.force:
            _current().close(force=True)
            say("The session is closed; `%det_load` loads the definition again.")
            return
        with interruptible("the training ends after the current batch; if it does not end, `%det_stop --force` closes the session."):
            _current().stop()
        _say()

    @magic_arguments()
    @line_magic
    def det_validate(self, line: str) -> dict[str, Any]:
        """Validate now and return the metrics; a running training continues afterwards."""
        parse(self.det_validate, line)
        with interruptible("the validation continues; `%det_stop` ends it."):
            return Metrics(_current().validate())

    @magic_arguments()
    @line_magic
    def det_checkpoint(self, line: str) -> CheckpointRecord:
        """Save a checkpoint now and return its record."""
        parse(self.det_checkpoint, line)
        with interruptible("the checkpoint is still being written in the background."):
            return _current().checkpoint()

    @magic_arguments()
    @argument("checkpoint", help="the id or the directory of a checkpoint, or `best` or `latest`: of this session, else of earlier runs")
    @argument("--trust", action="store_true", help="unpickle objects of any class, which can run any code; for checkpoints of others")
    @line_magic
    def det_restore(self, line: str) -> None:
        """Restore weights, optimizers and random states from a checkpoint, also of Determined; asks before any code in it runs."""
        arguments = parse(self.det_restore, line)
        restore(_current(), arguments.checkpoint, trust=arguments.trust)
        _say()


def _current() -> Session:
    # The registry knows whether a session is loaded, without imports that only a training needs.
    from detjupyter.session.registry import registry

    return registry.get(None)


def _say() -> None:
    """Print the state of the current session in one line."""
    from detjupyter.picture.summary import headline

    say(headline(_current().record()))
