"""What a trial logs goes where it prints: to its log, once."""

from __future__ import annotations

import contextlib
import io
import logging
import logging.config
import sys
import threading
from collections.abc import Iterator

import pytest
from support.captures import in_cell, texts

from detjupyter.engine.output import LoadedOutput, LogSink, captured, uncaptured


class TestLogging:
    """Handlers of loggers."""

    @pytest.fixture
    def logger(self) -> Iterator[logging.Logger]:
        """Return a named logger, without its handlers afterwards."""
        logger = logging.getLogger("of a definition")
        yield logger
        logger.handlers.clear()

    def test_a_handler_of_a_named_logger_writes_to_the_log(self, cell: io.StringIO, sink: LogSink, logger: logging.Logger) -> None:
        """It was made at import, before the capture, and holds the stream of that time."""
        logger.addHandler(logging.StreamHandler())
        logger.addHandler(logging.StreamHandler(sys.stdout))
        with captured(sink):
            logger.warning("from the trial")
            in_cell(lambda: logger.warning("from a cell"))
        assert texts(sink) == ["from the trial"] * 2
        assert cell.getvalue() == "from a cell\n" * 2

    def test_logging_that_is_configured_from_a_dict_writes_to_the_log(
        self, cell: io.StringIO, sink: LogSink, logger: logging.Logger
    ) -> None:
        """`ext://sys.stdout` is the stream object itself."""
        load = LoadedOutput()
        handlers = {"h": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}}
        config = {"version": 1, "incremental": False, "disable_existing_loggers": False, "handlers": handlers}
        with kept_handlers(), captured(sink), load.active():
            logging.config.dictConfig({**config, "loggers": {logger.name: {"handlers": ["h"]}}})
            logger.warning("configured")
            assert texts(sink) == ["configured"]
            load.release()
            assert logger.handlers == []
        assert cell.getvalue() == ""

    def test_after_reloads_each_line_is_logged_once(self, sink: LogSink, logger: logging.Logger) -> None:
        """A load's handlers go with it, and those that others have added stay."""
        others = logging.NullHandler()
        logger.addHandler(others)
        load = LoadedOutput()
        with captured(sink):
            for _ in range(3):
                earlier, load = load, LoadedOutput()
                with load.active():
                    logger.addHandler(logging.StreamHandler())
                    thread = threading.Thread(target=logger.addHandler, args=(logging.StreamHandler(sys.stdout),))
                    thread.start()
                    thread.join()
                earlier.release()
                logger.warning("once per handler")
        assert texts(sink) == ["once per handler"] * 6
        load.release()
        load.release()
        assert logger.handlers == [others]

    def test_a_handler_that_was_there_before_stays(self, sink: LogSink, logger: logging.Logger) -> None:
        """A load that adds a cell's handler again has not added it."""
        handler = logging.NullHandler()
        logger.addHandler(handler)
        load = LoadedOutput()
        with captured(sink), load.active():
            logger.addHandler(handler)
        load.release()
        assert logger.handlers == [handler]

    def test_a_load_needs_no_capture(self, logger: logging.Logger) -> None:
        """Its handlers are remembered wherever it is loaded, and a thread that is not its own adds none to it."""
        load = LoadedOutput()
        with load.active():
            logger.addHandler(logging.NullHandler())
            in_cell(lambda: logger.addHandler(logging.NullHandler()))
        load.release()
        assert len(logger.handlers) == 1

    def test_loguru_writes_to_the_log_once_after_reloads(self, cell: io.StringIO, sink: LogSink) -> None:
        """Its sinks are numbers of one logger of the process."""
        logger = pytest.importorskip("loguru").logger
        logger.remove()
        load = LoadedOutput()
        with captured(sink):
            for _ in range(3):
                earlier, load = load, LoadedOutput()
                with load.active():
                    logger.add(sys.stderr, format="{message}")
                earlier.release()
            logger.info("from loguru")
            assert texts(sink) == ["from loguru"]
            load.release()
        assert cell.getvalue() == ""


@contextlib.contextmanager
def kept_handlers() -> Iterator[None]:
    """Keep the handlers of the process, all of which `dictConfig` forgets."""
    root, listed = logging.getLogger().handlers[:], logging._handlerList[:]  # type: ignore[attr-defined]
    yield
    logging.getLogger().handlers[:], logging._handlerList[:] = root, listed  # type: ignore[attr-defined]


def test_what_a_trial_logs_goes_where_it_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also through a handler that a cell made before, for itself; what the cell logs stays there, and so does the handler afterwards."""
    stream, sink, logger = io.StringIO(), LogSink(), logging.getLogger("of a definition")
    monkeypatch.setattr(sys, "stderr", stream)
    handler = logging.StreamHandler()
    logging.getLogger().addHandler(handler)
    try:
        with captured(sink):
            logger.warning("from the trial")
            with uncaptured():  # a thread that the trial starts is the trial's
                other = threading.Thread(target=logger.warning, args=("from a cell",))
                other.start()
            other.join()
        logger.warning("afterwards")
    finally:
        logging.getLogger().removeHandler(handler)
    assert [line.text for line in sink.take()] == ["from the trial"]
    assert stream.getvalue().splitlines() == ["from a cell", "afterwards"]
    assert handler.stream is stream
