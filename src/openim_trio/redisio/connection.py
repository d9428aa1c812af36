"""A connection to Redis that comes back by itself.

Calls are pipelined in call order.  While there is no connection a call fails at once with
SequencerUnavailable: what asks again (and when) is the caller's affair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import structlog
import trio

from openim_trio.append.ports import SequencerUnavailable
from openim_trio.config.model import RedisConfig
from openim_trio.observability.metrics import Metrics
from openim_trio.redisio.address import parse_address
from openim_trio.redisio.backoff import Backoff
from openim_trio.redisio.errors import RedisReplyError
from openim_trio.redisio.link import Link
from openim_trio.redisio.scripts import script
from openim_trio.redisio.stream import Argument, RedisStream, ServerInfo, open_stream, pack

MAX_CALLS = 1_000
MAX_UNSENT = 64 * 1024 * 1024

log = structlog.get_logger()


class RedisConnection:
    """`on_connected`: called with what the server says of itself, after each connect."""

    def __init__(
        self,
        config: RedisConfig,
        metrics: Metrics,
        name: str = "commands",
        *,
        max_calls: int = MAX_CALLS,
        max_unsent: int = MAX_UNSENT,
    ) -> None:
        self._address = parse_address(config.url)
        self._timeout = config.timeout
        self._metrics = metrics
        self._name = name
        self._max_calls = max_calls
        self._max_unsent = max_unsent
        self._link: Link | None = None
        self.on_connected: list[Callable[[ServerInfo], None]] = []

    @property
    def connected(self) -> bool:
        return self._link is not None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep connected until cancelled.  Started after the first attempt, whatever came of it."""
        backoff = Backoff()
        failures = 0
        while True:
            lived = 0.0
            try:
                stream, server = await open_stream(
                    self._address, f"openim-trio-{self._name}", self._timeout
                )
            except SequencerUnavailable as error:
                failures += 1
                self._failed(failures, str(error))
                task_status.started()
            else:
                log.info("redis_connected", connection=self._name, version=server.version)
                failures = 0
                since = trio.current_time()
                await self._serve(stream, server, task_status)
                lived = trio.current_time() - since
            task_status = trio.TASK_STATUS_IGNORED
            await trio.sleep(backoff.delay(lived))

    def _failed(self, failures: int, reason: str) -> None:
        self._metrics.engine_errors.labels("redis").inc()
        if failures == 1:  # then only at the end of it: `redis_connected`
            log.warning("redis_unavailable", connection=self._name, reason=reason)

    async def _serve(
        self, stream: RedisStream, server: ServerInfo, task_status: trio.TaskStatus[None]
    ) -> None:
        link = Link(stream, self._max_calls, self._max_unsent)
        self._link = link
        try:
            for callback in self.on_connected:
                callback(server)
            task_status.started()
            reason = await link.run()
        finally:
            self._link = None
        self._metrics.engine_errors.labels("redis").inc()
        log.warning("redis_connection_lost", connection=self._name, reason=reason)

    # -- calls -------------------------------------------------------------------------------------

    async def call(self, *command: Argument) -> Any:
        """One command.  Raises SequencerUnavailable (no connection, no reply in time: it may have
        happened) and its subclass RedisReplyError (it was refused)."""
        (reply,) = await self._send(pack(command), 1)
        if isinstance(reply, RedisReplyError):
            raise reply
        return reply

    async def pipeline(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        """Several commands in one go.  Raises the first error reply after all have come."""
        if not commands:
            return []
        replies = await self._send(b"".join(map(pack, commands)), len(commands))
        for reply in replies:
            if isinstance(reply, RedisReplyError):
                raise reply
        return replies

    async def script(
        self, name: str, keys: Sequence[bytes | str], arguments: Sequence[Argument]
    ) -> Any:
        """Run lua/<name>.lua; it is loaded first where Redis does not have it."""
        wanted = script(name)
        command = ("EVALSHA", wanted.sha, len(keys), *keys, *arguments)
        try:
            return await self.call(*command)
        except RedisReplyError as error:
            if error.code != "NOSCRIPT":
                raise
        # It did not run; nothing can have happened.
        _, reply = await self.pipeline([("SCRIPT", "LOAD", wanted.source), command])
        return reply

    async def _send(self, packed: bytes, count: int) -> list[Any]:
        if self._link is None:
            await trio.lowlevel.checkpoint()
            raise SequencerUnavailable("not connected to Redis")
        return await self._link.call(packed, count, self._timeout)
