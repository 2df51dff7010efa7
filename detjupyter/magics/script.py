"""``%det_script`` runs a script that was written for a cluster."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING

from IPython.core.magic import Magics, line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments

from detjupyter.magics.arguments import parse, usage_error, words
from detjupyter.magics.asking import say

if TYPE_CHECKING:
    from detjupyter.store.history import Run

_OPTIONS = ("--config", "--hparam", "--seed", "--checkpoint")


@magics_class
class ScriptMagics(Magics):
    """Run a script."""

    @magic_arguments()
    @argument("script", help="a Python file that reports with determined.core, core_v2, or trains with a Trainer")
    @argument("--config", help="a YAML file; by default const.yaml in the script's directory, else its only config")
    @argument("--hparam", nargs="+", action="extend", default=[], metavar="K=V", help="hyperparameters that override the config's")
    @argument("--seed", type=int, help="seeds the sampling of hyperparameter ranges, and is the script's trial seed")
    @argument(
        "--checkpoint",
        dest="script_checkpoint",
        metavar="CHECKPOINT",
        help="the id of a checkpoint to continue from, or `latest`: of earlier runs of the same command",
    )
    @argument(
        "arguments",
        nargs="*",
        default=[],  # argparse calls the argument required without one
        metavar="ARG",
        help="the script's own arguments: all from the first word that is none of the above",
    )
    @line_magic
    def det_script(self, line: str) -> Run | None:
        """Run a script of the Core API, with the hyperparameters of a config, and return its run.

        ``determined.get_cluster_info()`` answers with the config, as on a cluster. What the script reports is shown live and kept as a
        run; the stop button makes ``should_preempt()`` true. The script runs in the kernel, with the present code of its modules.
        """
        ours, theirs = _split(line)
        arguments = parse(self.det_script, shlex.join(ours))
        from detjupyter.magics.values import parse_assignments
        from detjupyter.scripts.running import run_script

        hparams = parse_assignments(arguments.hparam)
        runs = run_script(arguments.script, theirs, arguments.config, hparams, arguments.seed, arguments.script_checkpoint)
        if not runs:
            say("The script reported nothing, so no run was kept: reports are made with `determined.core.init()`.")
        return runs[-1] if runs else None


def _split(line: str) -> tuple[list[str], list[str]]:
    """Return the words for the magic, and those for the script: all from the first that is not an option of ours, or after ``--``."""
    try:
        left = list(words(line))
    except ValueError as error:
        raise usage_error(f"%det_script: {str(error).lower()} in {line!r}.") from None
    script: list[str] = []
    ours: list[str] = []
    while left:
        word = left[0]
        option, equals, _ = word.partition("=")
        if word == "--":
            return script + ours, left[1:]
        if option in _OPTIONS:
            count = 1 if equals else 1 + (_assignments(left[1:]) if option == "--hparam" else 1)
        elif not script:
            script.append(left.pop(0))
            continue
        else:
            break
        ours += left[:count]
        del left[:count]
    return script + ours, left  # in this order, --hparam does not take the script for one of its values


def _assignments(following: Iterable[str]) -> int:
    """Return how many of the words are values of ``--hparam``: the first in any case, so that the error quotes a misspelled one."""
    count = 0
    for word in following:
        if word.startswith("-") or (count and "=" not in word):
            break
        count += 1
    return count
