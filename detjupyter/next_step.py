"""The next steps that hints name: each as a call in Python, and as the magic that does the same.

The engine also runs in scripts, so hints are written in Python and are sent in that form. A kernel that has loaded the
magics shows them as magics: :func:`worded` finds the calls of the table in a text.
"""

from __future__ import annotations

import re
import shlex
from enum import Enum
from string import Formatter


class Wording(Enum):
    """How next steps are shown."""

    PYTHON = "python"
    MAGICS = "magics"


class NextStep(Enum):
    """A call or an argument that a hint may name: in Python (``session`` is what ``dj.load`` returned), and as a magic.

    In an f-string a member is its Python form between backticks. A member with ``{}`` is called with the text to insert:

    >>> f"{NextStep.STOP} ends the training, {NextStep.TRAIN_EPOCHS(2)} continues it."
    '`session.stop()` ends the training, `session.train(epochs=2)` continues it.'
    """

    LOAD = "dj.load()", "%det_load"
    LOAD_CLASS = 'dj.load("{}")', "%det_load {}"
    LOAD_CLASS_OF = 'dj.load(path="{}", entrypoint="{}")', "%det_load --path {} {}"
    LOAD_DIRECTORY = 'dj.load(path="{}")', "%det_load --path {}"
    LOAD_RUN = 'dj.load(from_run="{}")', "%det_load --from {}"
    LOAD_AS = 'dj.load(name="{}")', "%det_load --name {}"
    TRAIN = "session.train()", "%det_train"
    TRAIN_BATCHES = "session.train(batches={})", "%det_train --batches {}"
    TRAIN_EPOCHS = "session.train(epochs={})", "%det_train --epochs {}"
    PAUSE = "session.pause()", "%det_pause"
    RESUME = "session.resume()", "%det_resume"
    STOP = "session.stop()", "%det_stop"
    FORCE_CLOSE = "session.close(force=True)", "%det_stop --force"
    CHECKPOINT = "session.checkpoint()", "%det_checkpoint"
    RESTORE = 'session.restore("{}")', "%det_restore {}"
    RELOAD = "session.reload()", "%det_reload"
    RUNS = "dj.runs()", "%det_runs"
    FILES = "definition.files()", "%det_files"
    DETERMINED_FILES = "detjupyter.bundle.determined_files(root)", "%det_files --as determined"
    EXCLUDE = 'detjupyter.bundle.propose(root, "{}")', "%det_files --exclude {}"
    PACKAGE = 'definition.archive("{}")', "%det_package {}"
    HYPERPARAMETER = 'hparams={{"{}": {}}}', "--hparam {}={}"
    CONFIG = 'config="{}"', "--config {}"
    TRUST = "trust=True", "--trust"
    ANY_SIZE = "any_size=True", "--any-size"
    OVERSIZE = "oversize=True", "--oversize"
    STARTUP_HOOK = "startup_hook=True", "--startup-hook"
    SET_VARIABLE = 'os.environ["{}"] = "{}"', "%env {}={}"
    INSTALL = "pip install {}", "%pip install {}"
    DEBUG = "pdb.pm()", "%debug"

    def __init__(self, python: str, magic: str) -> None:
        self.python = python
        self.magic = magic
        parts = Formatter().parse(python)
        self._pattern = "".join(re.escape(text) + ("" if field is None else '([^"]*)') for text, field, *_ in parts)

    def __call__(self, *arguments: object) -> str:
        """Return the Python form, with ``arguments`` in it, between backticks."""
        return f"`{self.python.format(*arguments)}`"

    def __str__(self) -> str:
        return self()

    def as_magic(self, code: str) -> str | None:
        """Return the magic that does the same as ``code``; None if ``code`` is not this step."""
        found = re.fullmatch(self._pattern, code)  # `re` compiles it on first use and caches it
        if found is None:
            return None
        is_ours = not self.magic.startswith(("%env", "%pip"))  # which take the rest of their line as it is
        return self.magic.format(*(shlex.quote(text) if is_ours and _SPACE.search(text) else text for text in found.groups()))


_CODE = re.compile(r"`([^`\n]+)`")
_SPACE = re.compile(r"\s")
_wording = Wording.PYTHON


def set_wording(wording: Wording) -> None:
    """Set how next steps are shown in this process."""
    global _wording
    _wording = wording


def worded(text: str, wording: Wording | None = None) -> str:
    """Return ``text`` with its next steps in ``wording``, by default that of this process. All other text stays unchanged.

    >>> worded(f"{NextStep.RESTORE('best')} restores it.", Wording.MAGICS)
    '`%det_restore best` restores it.'
    >>> worded(NextStep.LOAD_DIRECTORY("my models"), Wording.MAGICS)
    "`%det_load --path 'my models'`"
    """
    return _CODE.sub(_magic_of, text) if (wording or _wording) is Wording.MAGICS else text


def _magic_of(code: re.Match[str]) -> str:
    magics = (step.as_magic(code[1]) for step in NextStep)
    return next((f"`{magic}`" for magic in magics if magic is not None), code[0])
