"""What reaches the log stream."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from openim_trio.config.model import LogConfig
from openim_trio.observability.logging import HIDDEN, configure_logging


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def _json(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_lines_with_the_worker_and_hidden_secrets() -> None:
    stream = io.StringIO()
    configure_logging(LogConfig(format="json"), "w1", stream)
    log = structlog.get_logger()
    log.debug("too_low")
    log.info(
        "event", user="u", Token="t", password="p", nested={"secret": 1, "ok": [{"content": "c"}]}
    )
    (line,) = _json(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "event",
        "level": "info",
        "worker": "w1",
        "user": "u",
        "Token": HIDDEN,
        "password": HIDDEN,
        "nested": {"secret": HIDDEN, "ok": [{"content": HIDDEN}]},
    }


def test_console_is_one_line_without_colours_off_a_terminal() -> None:
    stream = io.StringIO()
    configure_logging(LogConfig(), stream=stream)
    structlog.get_logger().warning("event", authorization="Bearer x", number=1)
    (line,) = stream.getvalue().splitlines()
    assert "event" in line
    assert "number=1" in line
    assert "Bearer" not in line
    assert "\x1b" not in line


@pytest.mark.parametrize("form", ["json", "console"])
def test_exceptions_have_their_traceback_but_no_local_variables(form: str) -> None:
    stream = io.StringIO()
    configure_logging(LogConfig(format=form), stream=stream)
    password = "hush"
    try:
        raise ZeroDivisionError(len(password))
    except ZeroDivisionError:
        structlog.get_logger().exception("failed")
    assert "ZeroDivisionError" in stream.getvalue()
    assert "hush" not in stream.getvalue().replace('password = "hush"', "")


def test_the_standard_library_goes_the_same_way() -> None:
    stream = io.StringIO()
    configure_logging(LogConfig(format="json"), "w1", stream)
    logging.getLogger("hypercorn.error").error("went %s", "wrong")
    logging.getLogger("pymongo.command").info("noise")
    (line,) = _json(stream)
    assert (line["event"], line["level"], line["worker"]) == ("went wrong", "error", "w1")


class _Broken(io.StringIO):
    def write(self, _: str) -> int:
        raise BrokenPipeError


def test_a_lost_stream_does_not_raise() -> None:
    configure_logging(LogConfig(), stream=_Broken())
    structlog.get_logger().error("event")
    logging.getLogger("x").error("event")
