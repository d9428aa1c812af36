"""Logs: structlog to stderr, for people (console) or machines (json).

What must never be logged is hidden by key, whoever logs it.  Records of the standard library
(Hypercorn, Quart, PyMongo) go the same way.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from openim_trio.config.model import LogConfig

HIDDEN_KEYS = frozenset({"token", "secret", "content", "password", "authorization"})
HIDDEN = "(hidden)"
_DEEPEST = 4
_QUIET_LIBRARIES = ("pymongo", "hypercorn.access", "hypercorn.error", "asyncio", "urllib3")


def configure_logging(config: LogConfig, worker: str = "", stream: TextIO | None = None) -> None:
    """Call once, at the start of a process.  `worker` is added to every event."""
    level = logging.getLevelNamesMapping()[config.level.upper()]
    sink = _Sink(stream or sys.stderr)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        hide,
    ]
    if worker:
        shared.insert(0, _Adds("worker", worker))
    rendering = _rendering(config.format, sink)
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_SinkLoggers(sink),
        cache_logger_on_first_use=True,
    )
    _configure_standard_library(level, sink, shared, rendering)


def hide(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace the values of keys that name secrets, also in nested mappings."""
    return {key: _hidden(key, value, _DEEPEST) for key, value in event.items()}


def _hidden(key: object, value: object, depth: int) -> Any:
    if isinstance(key, str) and key.lower() in HIDDEN_KEYS:
        return HIDDEN
    if isinstance(value, Mapping):
        if not depth:
            return "…"
        return {inner: _hidden(inner, item, depth - 1) for inner, item in value.items()}
    if isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        return [_hidden("", item, depth) for item in value]
    return value


def _rendering(form: str, sink: _Sink) -> list[Processor]:
    if form == "json":
        return [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=repr),
        ]
    return [
        structlog.dev.ConsoleRenderer(
            colors=sink.is_terminal(), exception_formatter=structlog.dev.plain_traceback
        )
    ]


def _configure_standard_library(
    level: int, sink: _Sink, shared: list[Processor], rendering: list[Processor]
) -> None:
    handler = logging.StreamHandler(sink)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[remove_meta, *rendering]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


class _Adds:
    """A processor that adds one key."""

    def __init__(self, key: str, value: str) -> None:
        self._key = key
        self._value = value

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault(self._key, self._value)
        return event


class _Sink:
    """A stream whose loss does not end the program: a server whose log reader went away goes on,
    and its shutdown above all."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def is_terminal(self) -> bool:
        return self._stream.isatty()

    def write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            return

    def flush(self) -> None:
        """`write` does it."""


class _SinkLoggers:
    """structlog's logger factory for a sink."""

    def __init__(self, sink: _Sink) -> None:
        self._logger = _SinkLogger(sink)

    def __call__(self, *_: object) -> _SinkLogger:
        return self._logger


class _SinkLogger:
    def __init__(self, sink: _Sink) -> None:
        self._sink = sink

    def msg(self, message: str) -> None:
        self._sink.write(message + "\n")

    log = debug = info = warning = warn = error = err = critical = fatal = exception = msg
