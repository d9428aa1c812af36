"""`openim-trio chat` from its options to its exit code."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs
import trio

from openim_trio.cli.chat_feed import Feed
from openim_trio.cli.chat_lines import Peer, Wording, excerpt
from openim_trio.cli.chat_login import (
    CannotRegister,
    NoToken,
    data_directory,
    find_secret,
    register,
)
from openim_trio.cli.chat_screen import PlainScreen, Screen
from openim_trio.cli.chat_session import Chat, farewell
from openim_trio.client import Settings, open_client
from openim_trio.client.database.database import Database, database_path
from openim_trio.client.errors import ClientError, DatabaseInUse, InvalidArgument
from openim_trio.client.settings import wall_clock_ms
from openim_trio.config.model import LogConfig
from openim_trio.domain.platforms import Platform
from openim_trio.observability.logging import configure_logging

GOOD, FAILED, WRONG = 0, 1, 2
_OPTIONS = {"ws_address": "--ws", "api_address": "--api", "user_id": "--user", "token": "--token"}
"""argument of the client -> what it is called here"""


class Stopped(Exception):
    """The program ends with `code`, and this one line."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(excerpt(text, 1_000))
        self.code = code


@attrs.frozen(kw_only=True)
class Options:
    """As they were given; empty or None: not given."""

    user: str
    to: str = ""
    group: str = ""
    token: str = attrs.field(default="", repr=False)
    secret_from: Path
    ws: str
    api: str
    platform: Platform = Platform.LINUX
    data_dir: Path | None = None
    log: Path | None = None


def run(options: Options, environ: Mapping[str, str]) -> int:
    """Gives the exit code.  Raises Stopped."""
    with _logging(options.log):
        try:
            return trio.run(_run, options, environ)
        except Exception as error:
            raise _end(_first(error)) from None


async def _run(options: Options, environ: Mapping[str, str]) -> int:
    screen = _screen(options.user)
    wording = Wording(options.user, wall_clock_ms)
    feed = Feed(wording, options.ws, hold_missed=screen.interactive)
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    with trio.open_signal_receiver(*signals) as received:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_leave_at, received, nursery.cancel_scope)
            await _chat(options, environ, feed, screen)
            nursery.cancel_scope.cancel()
    farewell(feed, screen)
    if feed.fatal:
        raise Stopped(feed.fatal, FAILED)
    return FAILED if not screen.interactive and (feed.failed or feed.waiting) else GOOD


async def _leave_at(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()
        return


async def _chat(options: Options, environ: Mapping[str, str], feed: Feed, screen: Screen) -> None:
    secret = None
    if not options.token:
        secret = find_secret(options.ws, options.api, options.secret_from, environ)
    settings = Settings(
        ws_address=options.ws,
        api_address=options.api,
        data_dir=options.data_dir or data_directory(environ, options.ws, secret),
        platform=options.platform,
    )
    token = options.token
    if secret is not None:
        # A new token takes the old one's place: first see that nobody uses that.
        async with Database.open(database_path(settings.data_dir, options.user)):
            pass
        token = await register(options.api, secret, options.user, options.platform)
    peer = Peer(options.to, options.group) if options.to or options.group else None
    async with open_client(settings) as client, client.events() as stream:
        await client.login(options.user, token)
        await Chat(client, feed, screen).run(stream, peer)


def _screen(user: str) -> Screen:
    if sys.stdin.isatty() and sys.stdout.isatty():
        from openim_trio.cli.chat_terminal import Terminal

        return Terminal(user)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return PlainScreen(sys.stdin, sys.stdout)


def _end(error: BaseException) -> BaseException:
    """What `run` raises for what went wrong."""
    match error:
        case InvalidArgument() | NoToken():
            name, colon, problem = str(error).partition(": ")
            return Stopped(_OPTIONS.get(name, name) + colon + problem, WRONG)
        case DatabaseInUse():
            return Stopped(f"{error}; with another --data-dir you are a second device", FAILED)
        case ClientError() | CannotRegister():
            return Stopped(str(error), FAILED)
        case BrokenPipeError():
            # Nobody reads what is printed, nor what Python would flush at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return Stopped("the output was closed", FAILED)
    return error


def _first(error: BaseException) -> BaseException:
    """Out of the groups that nurseries make."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@contextmanager
def _logging(path: Path | None) -> Iterator[None]:
    """The client's log must not come between the lines."""
    try:
        with Path(path or os.devnull).open("a") as stream:
            level = "info" if path else "critical"
            configure_logging(LogConfig(level=level), stream=stream)
            yield
    except OSError as error:
        if path is None or error.filename != str(path):
            raise
        raise Stopped(f"--log {path}: {error.strerror}", WRONG) from None
