"""The bus: Redis publish/subscribe between workers.

One connection only listens.  What a `recv` brings is handed over as a whole and then flushed once
(`on_chunk_end`), so that a receiver's frames are joined.  There is no queue: whoever is slow here
is cut off by Redis (client-output-buffer-limit pubsub), a lost subscription like any other.

A lost subscription is always noticed, the half-open one by PING.  What was published meanwhile is
lost; `on_restored` says since when, once every channel is subscribed again (C12: subscribe first,
read the heads second).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import structlog
import trio

from openim_trio.append.ports import SequencerUnavailable
from openim_trio.config.model import RedisConfig
from openim_trio.observability.metrics import Metrics
from openim_trio.redisio.address import parse_address
from openim_trio.redisio.backoff import Backoff
from openim_trio.redisio.connection import RedisConnection
from openim_trio.redisio.errors import ConnectionLost, RedisReplyError
from openim_trio.redisio.stream import RedisStream, open_stream, pack
from openim_trio.redisio.subscriptions import Subscriptions

COMMANDS_PER_PIPELINE = 500
CHANNELS_PER_COUNT = 1_000
PATIENCE = 5
"""Silence counts in so many steps, so that a worker that was held up itself (one late step) does
not blame Redis before it has read what lies in its own socket."""

log = structlog.get_logger()


def _ignore_message(channel: str, payload: bytes) -> None: ...


def _ignore_chunk() -> None: ...


def _ignore_restored(since: float) -> None: ...


class Bus:
    """Set `on_message(channel, payload)`, `on_chunk_end()` and `on_restored(since)` before `run`.
    They are called in the listening task and must not wait; an exception in one of them is logged
    and costs that one message."""

    def __init__(
        self,
        config: RedisConfig,
        metrics: Metrics,
        *,
        ping_interval: float = 5.0,
        ping_timeout: float = 5.0,
    ) -> None:
        self.on_message: Callable[[str, bytes], None] = _ignore_message
        self.on_chunk_end: Callable[[], None] = _ignore_chunk
        self.on_restored: Callable[[float], None] = _ignore_restored
        self._address = parse_address(config.url)
        self._timeout = config.timeout
        self._prefix = config.prefix.encode()
        self._metrics = metrics
        self._ping_interval = ping_interval
        self._ping_timeout = ping_timeout
        self._commands = RedisConnection(config, metrics, "bus")
        self._subscriptions = Subscriptions()
        self._changed = trio.Event()
        self._heard = trio.Event()
        self._ping_due = False
        self._good_at = 0.0
        self._lost_since: float | None = None
        self.healthy = False

    # -- publishing --------------------------------------------------------------------------------

    async def publish(self, channel: str, payload: bytes) -> int:
        """Returns how many workers got it.  Raises SequencerUnavailable."""
        receivers: int = await self._commands.call("PUBLISH", self._named(channel), payload)
        return receivers

    async def publish_many(self, items: Sequence[tuple[str, bytes]]) -> list[int]:
        """Returns how many workers got each, in order.  Raises SequencerUnavailable."""
        counts: list[int] = []
        for at in range(0, len(items), COMMANDS_PER_PIPELINE):
            part = items[at : at + COMMANDS_PER_PIPELINE]
            counts += await self._commands.pipeline(
                [("PUBLISH", self._named(channel), payload) for channel, payload in part]
            )
        return counts

    async def subscribers(self, channels: Sequence[str]) -> list[int]:
        """How many workers listen to each.  Raises SequencerUnavailable."""
        counts: list[int] = []
        for at in range(0, len(channels), CHANNELS_PER_COUNT):
            part = [self._named(channel) for channel in channels[at : at + CHANNELS_PER_COUNT]]
            counts += (await self._commands.call("PUBSUB", "NUMSUB", *part))[1::2]
        return counts

    def _named(self, channel: str) -> bytes:
        return self._prefix + channel.encode()

    # -- subscribing -------------------------------------------------------------------------------

    async def subscribe(self, channels: Iterable[str]) -> None:
        """Returns when Redis has confirmed every channel: what is published from then on arrives.

        Waits for a connection if there is none; raises SequencerUnavailable when it takes longer
        than the configured timeout.  The channels stay wanted then; `unsubscribe` lets them go."""
        named = [self._named(channel) for channel in channels]
        event = self._subscriptions.add(named)
        if event is None:
            await trio.lowlevel.checkpoint()
            return
        self._changed.set()
        try:
            with trio.move_on_after(self._timeout):
                await event.wait()
        finally:
            if not event.is_set():
                self._subscriptions.abandon(event, named)
        if not event.is_set():
            raise SequencerUnavailable("Redis did not confirm a subscription in time")

    def unsubscribe(self, channels: Iterable[str]) -> None:
        self._subscriptions.remove([self._named(channel) for channel in channels])
        self._changed.set()

    # -- listening ---------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled.  Started after the first attempt to connect, whatever came of it."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._commands.run)
            await self._keep_listening(task_status)

    async def _keep_listening(self, task_status: trio.TaskStatus[None]) -> None:
        backoff = Backoff()
        while True:
            began = trio.current_time()
            lived = 0.0
            try:
                stream, _ = await open_stream(self._address, "openim-trio-listen", self._timeout)
            except SequencerUnavailable as error:
                self._metrics.engine_errors.labels("redis").inc()
                log.debug("bus_unavailable", reason=str(error))
                task_status.started()
            else:
                self._good_at = began
                reason = await self._listen(stream, task_status)
                self._lose(reason)
                lived = trio.current_time() - began
            task_status = trio.TASK_STATUS_IGNORED
            await trio.sleep(backoff.delay(lived))

    def _lose(self, reason: str) -> None:
        self._metrics.bus_losses.inc()
        log.warning("bus_lost", reason=reason)
        if self._lost_since is None:
            self._lost_since = self._good_at

    async def _listen(self, stream: RedisStream, task_status: trio.TaskStatus[None]) -> str:
        """Serve one connection until it is lost; returns why."""
        reasons: list[str] = []
        subscriptions = self._subscriptions
        commands = subscriptions.connected()
        self._check_restored()

        async def until_lost(part: Callable[[], Any]) -> None:
            try:
                await part()
            except ConnectionLost as error:
                reasons.append(str(error))
                nursery.cancel_scope.cancel()

        async def write() -> None:
            await self._write(stream, commands)

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(until_lost, lambda: self._read(stream))
                nursery.start_soon(until_lost, write)
                nursery.start_soon(until_lost, self._watch)
                task_status.started()
        finally:
            self.healthy = False
            subscriptions.disconnected()
            with trio.CancelScope(shield=True):
                await stream.close()
        return reasons[0]

    async def _write(self, stream: RedisStream, commands: list[tuple[bytes, ...]]) -> None:
        """Everything wanted first, then changes: those of one tick are joined."""
        while True:
            for command in commands:
                await stream.send_all(pack(command))
            await self._changed.wait()
            self._changed = trio.Event()
            commands = self._subscriptions.take_commands()
            if self._ping_due:
                self._ping_due = False
                commands.append((b"PING", repr(trio.current_time()).encode()))

    async def _watch(self) -> None:
        """PING now and then; raises ConnectionLost when nothing at all is heard after it."""
        while True:
            await trio.sleep(self._ping_interval)
            self._ping_due = True
            self._changed.set()
            self._heard = trio.Event()
            for _ in range(PATIENCE):
                with trio.move_on_after(self._ping_timeout / PATIENCE):
                    await self._heard.wait()
                    break
            else:
                raise ConnectionLost(f"silent for {self._ping_timeout:g} s")

    async def _read(self, stream: RedisStream) -> None:
        cut = len(self._prefix)
        while True:
            replies = await stream.receive()
            self._heard.set()
            messages = 0
            for reply in replies:
                if isinstance(reply, list) and reply[0] == b"message":
                    messages += 1
                    self._hand_over(self.on_message, reply[1][cut:].decode(), reply[2])
                else:
                    self._take_note(reply)
            if messages:
                self._metrics.bus_messages.inc(messages)
                self._hand_over(self.on_chunk_end)
            self._check_restored()

    def _take_note(self, reply: Any) -> None:
        """Everything but messages."""
        if isinstance(reply, RedisReplyError):
            raise ConnectionLost(str(reply))
        if isinstance(reply, bytes):  # the answer to PING while nothing is subscribed
            self._good_at = float(reply)
        elif reply[0] == b"pong":
            # What was published before that PING has been received: Redis keeps the order.
            self._good_at = float(reply[1])
        elif reply[0] == b"subscribe":
            self._subscriptions.confirm(reply[1])

    def _check_restored(self) -> None:
        if self.healthy or not self._subscriptions.restored:
            return
        self.healthy = True
        since, self._lost_since = self._lost_since, None
        if since is not None:
            log.info("bus_restored", channels=len(self._subscriptions.wanted))
            self._hand_over(self.on_restored, since)

    def _hand_over(self, callback: Callable[..., None], *arguments: Any) -> None:
        try:
            callback(*arguments)
        except Exception:
            log.exception("bus_callback_failed")
