"""Reloads the code of an active trial: a trial from the edited code takes over the state of the present one."""

from __future__ import annotations

from detjupyter.engine.active_trial import ActiveTrial
from detjupyter.engine.failure import summary
from detjupyter.engine.reload_report import ReloadReport, compare
from detjupyter.protocol.events import Loaded, Until


def reload(trial: ActiveTrial) -> tuple[ReloadReport, int]:
    """Load the definition again, give the new trial the state of the present one, and continue with it.

    Returns:
        The differences, and the number of the load within the run.

    Raises:
        BaseException: Whatever the new code raises, or StateMismatchError if it cannot take over the state; the present trial is unchanged.
    """
    before = trial.loaded
    with trial.emitter.renewing(Until.LOAD):
        fresh = trial.load_again()
        try:
            with trial.user_code(), fresh.adapter.active():
                fresh.adapter.adopt(before.adapter)
            report = compare(before.record(), fresh.record(), trial.progress.batches_trained)
        except BaseException:
            fresh.release()
            raise
    trial.replace(fresh)
    number = trial.checkpoints.replace_code()
    try:
        before.release(report.replaced_names())
    except Exception as error:  # user code of the old trial, which is not needed any more; the new trial is unaffected
        trial.emitter.say(f"Releasing the previous trial failed with {summary(error)}")
    for line in str(report).splitlines():
        trial.emitter.say(line)
    trial.emitter.flush(Loaded(report.now, trial.progress.batches_trained, number))
    return report, number
