"""A Redis of the test's own that can be stopped, frozen and started again; open sequencers."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import attrs
import redis
import trio

from openim_trio.config.model import AppendConfig, RedisConfig
from openim_trio.domain.rows import Row, RowKind, message_key
from openim_trio.observability.metrics import Metrics
from openim_trio.redisio.connection import RedisConnection
from openim_trio.redisio.sequencer import RedisSequencer
from tests.support import engines


@attrs.define
class OwnRedis:
    """A server on a port that stays the same over restarts; `directory` keeps its files."""

    directory: Path
    port: int
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self.process = engines.start_redis(self.directory, self.port, *self.options)

    def stop(self) -> None:
        if self.process is not None:
            self.thaw()
            engines.stop(self.process)
            self.process = None

    def kill(self) -> None:
        """SIGKILL: what it had not written is lost."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def freeze(self) -> None:
        """It stops running but its sockets stay open."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    @contextmanager
    def client(self) -> Iterator[redis.Redis]:
        with redis.Redis(port=self.port) as client:
            yield client


@contextmanager
def own_redis(*options: str) -> Iterator[OwnRedis]:
    with engines.temporary_directory() as directory:
        server = OwnRedis(directory, engines.free_port(), options)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@asynccontextmanager
async def open_connection(
    config: RedisConfig, *, max_calls: int = 1_000
) -> AsyncIterator[RedisConnection]:
    connection = RedisConnection(config, Metrics(), max_calls=max_calls)
    async with trio.open_nursery() as nursery:
        await nursery.start(connection.run)
        yield connection
        nursery.cancel_scope.cancel()


@attrs.define
class Changes:
    """Counts calls of on_server_change."""

    count: int = 0

    def __call__(self) -> None:
        self.count += 1


@asynccontextmanager
async def open_sequencer(
    config: RedisConfig, append: AppendConfig | None = None, changes: Changes | None = None
) -> AsyncIterator[RedisSequencer]:
    connection = RedisConnection(config, Metrics())
    sequencer = RedisSequencer(
        connection, append or AppendConfig(), config.prefix, changes or Changes()
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(connection.run)
        yield sequencer
        nursery.cancel_scope.cancel()


def make_row(
    conversation: str,
    seq: int,
    name: str,
    *,
    send_time: int,
    create_time: int | None = None,
    kind: RowKind = RowKind.MESSAGE,
) -> Row:
    """A row whose key stands for `name`; its data means nothing."""
    created = send_time if create_time is None else create_time
    key = message_key("sender", name)
    return Row(conversation, seq, kind, key, b"\x00 \xff 1234", created, send_time, b"")


async def until(condition: Callable[[], object], what: str = "") -> None:
    """Wait (10 s at most) until it is true."""
    with trio.move_on_after(10):
        while not condition():  # noqa: ASYNC110 (there is no event to wait for)
            await trio.sleep(0.01)
        return
    raise AssertionError(f"never happened: {what or condition}")
