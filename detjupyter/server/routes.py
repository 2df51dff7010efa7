"""The table of routes: the server's REST and WebSocket interface.

| route | method | answers |
|---|---|---|
| ``runs?limit=&before=`` | GET | ``{runs: RunRecord[]}``, newest first, brief |
| ``runs/<run id>`` | GET | ``RunRecord`` |
| ``runs/<run id>`` | DELETE | 204 |
| ``runs/<run id>/series?points=&from=&to=`` | GET | ``{patches: SeriesPatch[]}``, of a range of batches, decimated |
| ``runs/<run id>/story`` | GET | ``StoryRecord``: the marks of the charts, and the times of batches |
| ``runs/<run id>/picture`` | GET | ``{data: {MIME type: data}}``, what the output of its cell holds when it has ended |
| ``runs/<run id>/checkpoints`` | GET | ``{checkpoints: CheckpointRecord[]}``, newest first |
| ``runs/<run id>/log`` | GET | ``{lines: LogLine[]}``, the last ones |
| ``comparison?runs=`` | GET | ``ComparisonRecord`` |
| ``table?where=&text=&sort=&descending=&group=&toggled=&archived=&columns=&offset=&limit=`` | GET | ``RunPage``, or 304 |
| ``table/ids?where=&text=&archived=`` | GET | ``{run_ids: str[]}`` |
| ``table/annotate`` | POST ``{run_ids, name, note, add_tags, remove_tags, starred, archived}`` | 204 |
| ``table/delete`` | POST ``{run_ids}`` | 204 |
| ``table/size`` | POST ``{run_ids}`` | ``RunsSize`` |
| ``definition?path=&any_size=`` | GET | ``DefinitionRecord``; with 202 ``ScanningRecord``: ask again |
| ``definition/determined?path=&any_size=`` | GET | ``DeterminedRecord``, or 202 as above |
| ``definition/ignore`` | POST ``{path, file, include, save, expected_hash}`` | ``IgnoreEditRecord`` |
| ``definition/ignore/undo`` | POST ``{undo}`` | 204 |
| ``kernels/<kernel id>`` | GET | ``KernelReply`` |
| ``kernels/<kernel id>/command`` | POST ``{session_id, command}`` | ``KernelReply`` |
| ``live`` | WebSocket | see :mod:`detjupyter.server.live` |

All are below ``detjupyter/api/``. An error is ``{message, hint}`` with the status of :func:`detjupyter.server.handler.status_of`,
or 409 for a command that was refused and for an edit of a `.detignore` that has changed since, 413 for a directory with too many paths
(``any_size=1`` accepts it), 502 for an invalid answer of a kernel, 504 for a kernel that does not answer.
"""

from __future__ import annotations

from jupyter_server.utils import url_path_join
from tornado.web import RequestHandler

from detjupyter.server.comparison import ComparisonHandler
from detjupyter.server.definition import DefinitionHandler, DeterminedHandler, IgnoreHandler, UndoHandler
from detjupyter.server.kernels import KernelCommandHandler, KernelHandler
from detjupyter.server.live import LiveHandler
from detjupyter.server.picture import PictureHandler
from detjupyter.server.run_table_routes import AnnotateHandler, DeleteHandler, SizeHandler, TableHandler, TableIdsHandler
from detjupyter.server.runs import CheckpointsHandler, LogHandler, ParentHandler, RunHandler, RunsHandler, SeriesHandler, StoryHandler

_ROUTES: tuple[tuple[str, type[RequestHandler]], ...] = (
    ("runs", RunsHandler),
    ("runs/([^/]+)", RunHandler),
    ("runs/([^/]+)/series", SeriesHandler),
    ("runs/([^/]+)/story", StoryHandler),
    ("runs/([^/]+)/picture", PictureHandler),
    ("runs/([^/]+)/checkpoints", CheckpointsHandler),
    ("runs/([^/]+)/parent", ParentHandler),
    ("runs/([^/]+)/log", LogHandler),
    ("comparison", ComparisonHandler),
    ("table", TableHandler),
    ("table/ids", TableIdsHandler),
    ("table/annotate", AnnotateHandler),
    ("table/delete", DeleteHandler),
    ("table/size", SizeHandler),
    ("definition", DefinitionHandler),
    ("definition/determined", DeterminedHandler),
    ("definition/ignore", IgnoreHandler),
    ("definition/ignore/undo", UndoHandler),
    ("kernels/([^/]+)", KernelHandler),
    ("kernels/([^/]+)/command", KernelCommandHandler),
    ("live", LiveHandler),
)


def routes(base_url: str) -> list[tuple[str, type[RequestHandler]]]:
    """Return tornado's handlers for a server whose addresses begin with ``base_url``."""
    return [(url_path_join(base_url, "detjupyter/api", path), handler) for path, handler in _ROUTES]
