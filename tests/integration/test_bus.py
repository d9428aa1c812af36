"""The bus on a real Redis: what is confirmed arrives, and every loss is noticed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import attrs
import pytest
import trio
import trio.testing

from openim_trio.append.ports import SequencerUnavailable
from openim_trio.config.model import RedisConfig
from openim_trio.observability.metrics import Metrics
from openim_trio.redisio.bus import Bus
from openim_trio.redisio.subscriptions import Subscriptions
from tests.support import engines
from tests.support.rediskit import own_redis, until

T = TypeVar("T")


@attrs.define
class Heard:
    """What a bus handed over; a chunk's end is a None among the messages."""

    log: list[tuple[str, bytes] | None] = attrs.field(factory=list)
    restored: list[float] = attrs.field(factory=list)

    @property
    def messages(self) -> list[tuple[str, bytes]]:
        return [item for item in self.log if item is not None]


@asynccontextmanager
async def open_bus(
    config: RedisConfig, *, ping_interval: float = 5.0, ping_timeout: float = 5.0
) -> AsyncIterator[tuple[Bus, Heard]]:
    bus = Bus(config, Metrics(), ping_interval=ping_interval, ping_timeout=ping_timeout)
    heard = Heard()
    bus.on_message = lambda channel, payload: heard.log.append((channel, payload))
    bus.on_chunk_end = lambda: heard.log.append(None)
    bus.on_restored = heard.restored.append
    async with trio.open_nursery() as nursery:
        await nursery.start(bus.run)
        yield bus, heard
        nursery.cancel_scope.cancel()


async def test_what_is_published_after_subscribe_arrives(redis_config: RedisConfig) -> None:
    async with open_bus(redis_config) as (bus, heard):
        assert bus.healthy
        await bus.subscribe(["u:a", "u:ä"])
        assert await bus.publish("u:a", b"\x00\r\n") == 1
        assert await bus.publish("u:ä", b"two") == 1
        assert await bus.publish("u:b", b"nobody") == 0
        await until(lambda: len(heard.messages) == 2)
        assert heard.messages == [("u:a", b"\x00\r\n"), ("u:ä", b"two")]
        assert heard.log[-1] is None
        assert heard.restored == []


async def test_publish_many_and_subscribers(redis_config: RedisConfig) -> None:
    async with open_bus(redis_config) as (one, heard), open_bus(redis_config) as (two, _):
        await one.subscribe(["a", "b"])
        await two.subscribe(["b"])
        items = [(name, b"%d" % i) for i in range(400) for name in ("a", "b", "c")]
        assert await two.publish_many(items) == [1, 2, 0] * 400
        assert await one.subscribers(["a", "b", "c"]) == [1, 2, 0]
        assert await one.subscribers([]) == []
        assert await one.publish_many([]) == []
        expected = [item for item in items if item[0] != "c"]
        await until(lambda: len(heard.messages) == len(expected))
        assert heard.messages == expected
        assert heard.log.count(None) < len(expected)  # whole chunks, not single messages


async def test_many_subscribers_in_one_tick_share_a_command() -> None:
    with own_redis() as server:
        async with open_bus(RedisConfig(url=server.url)) as (bus, _):
            with server.client() as client:
                client.config_resetstat()
                async with trio.open_nursery() as nursery:
                    for i in range(50):
                        nursery.start_soon(bus.subscribe, [f"u:{i}", "g:all"])
                assert client.info("commandstats")["cmdstat_subscribe"]["calls"] == 1
            assert await bus.subscribers(["g:all", "u:0", "u:49"]) == [1, 1, 1]


async def test_unsubscribe_and_subscribe_again(redis_config: RedisConfig) -> None:
    async with open_bus(redis_config) as (bus, heard):
        for i in range(20):
            await bus.subscribe(["a"])
            assert await bus.publish("a", b"%d" % i) == 1
            bus.unsubscribe(["a", "never subscribed"])
            await bus.subscribe(["a"])  # confirmed only by the second SUBSCRIBE
            assert await bus.publish("a", b"%d again" % i) == 1
            bus.unsubscribe(["a"])
        await until(lambda: len(heard.messages) == 40)
        while await bus.publish("a", b"gone"):
            pass


async def test_a_lost_connection_is_restored_with_all_channels() -> None:
    """Cut off by the server, as a slow reader would be."""
    with own_redis() as server:
        async with open_bus(RedisConfig(url=server.url)) as (bus, heard):
            names = [f"u:{i}" for i in range(2_500)]
            await bus.subscribe(names)
            bus.unsubscribe(["u:7"])
            before = trio.current_time()
            with server.client() as client:
                client.client_kill_filter(_type="pubsub")
            await until(lambda: len(heard.restored) == 1)
            assert bus.healthy
            assert heard.restored[0] <= before
            counts = await bus.subscribers(names)
            assert [i for i, count in enumerate(counts) if count != 1] == [7]
            assert await bus.publish("u:2499", b"there") == 1
            await until(lambda: heard.messages == [("u:2499", b"there")])


async def test_subscribing_while_redis_is_away_waits_for_it() -> None:
    with own_redis() as server:
        async with open_bus(RedisConfig(url=server.url, timeout=10)) as (bus, heard):
            await bus.subscribe(["a"])
            await trio.to_thread.run_sync(server.stop)
            await until(lambda: not bus.healthy)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(bus.subscribe, ["b", "a"])
                bus.unsubscribe(["nothing"])
                await trio.to_thread.run_sync(server.start)
            await until(lambda: bus.healthy)
            assert len(heard.restored) == 1
            assert await retried(lambda: bus.subscribers(["a", "b"])) == [1, 1]


async def test_subscribing_gives_up_after_the_timeout() -> None:
    config = RedisConfig(url=f"redis://127.0.0.1:{engines.free_port()}/0", timeout=0.1)
    async with open_bus(config) as (bus, heard):
        assert not bus.healthy
        with pytest.raises(SequencerUnavailable):
            await bus.subscribe(["a"])
        with pytest.raises(SequencerUnavailable):
            await bus.publish("a", b"")
        assert heard.restored == []


async def test_a_channel_given_up_on_is_still_wanted_until_unsubscribe() -> None:
    with own_redis() as server:
        async with open_bus(RedisConfig(url=server.url, timeout=0.1)) as (bus, _):
            server.freeze()
            with pytest.raises(SequencerUnavailable):
                await bus.subscribe(["kept", "let go"])
            bus.unsubscribe(["let go"])
            server.thaw()
            await bus.subscribe(["kept"])
            await until(lambda: bus.healthy)
            with trio.fail_after(10):
                while await retried(lambda: bus.subscribers(["kept", "let go"])) != [1, 0]:
                    pass


async def test_a_silent_server_is_a_lost_subscription() -> None:
    """Half-open: the socket stays, nothing comes."""
    with own_redis() as server:
        config = RedisConfig(url=server.url, timeout=0.3)
        async with open_bus(config, ping_interval=0.05, ping_timeout=0.3) as (bus, heard):
            await bus.subscribe(["a"])
            subscribed = trio.current_time()
            await trio.sleep(0.2)  # some PINGs go well
            assert bus.healthy
            server.freeze()
            await until(lambda: not bus.healthy)
            noticed = trio.current_time()
            server.thaw()
            await until(lambda: heard.restored)
            # Good until the last PING that was answered, not only until the connection was made.
            assert subscribed < heard.restored[0] < noticed
            assert await retried(lambda: bus.publish("a", b"")) == 1


async def test_pings_without_any_channel(redis_config: RedisConfig) -> None:
    async with open_bus(redis_config, ping_interval=0.01) as (bus, heard):
        await trio.sleep(0.1)
        assert bus.healthy
        await bus.subscribe(["a"])
        await trio.sleep(0.1)
        assert bus.healthy
        assert heard.restored == []


async def test_a_slow_receiver_is_cut_off_and_told() -> None:
    """Redis holds back a bounded amount for it; then it drops the subscriber, not messages."""
    with own_redis() as server:
        with server.client() as client:
            client.config_set("client-output-buffer-limit", "pubsub 1mb 0 0")
        async with (
            open_bus(RedisConfig(url=server.url)) as (slow, heard),
            open_bus(RedisConfig(url=server.url)) as (other, _),
        ):
            await slow.subscribe(["a"])
            # Not one step of the trio loop happens while this client writes.
            with server.client() as client:
                sent = 0
                while client.publish("oit:a", bytes(100_000)):
                    sent += 1
            await until(lambda: heard.restored)
            assert len(heard.messages) < sent
            assert await other.publish("a", b"last") == 1
            await until(lambda: heard.messages[-1] == ("a", b"last"))


async def test_a_failing_receiver_costs_one_message(redis_config: RedisConfig) -> None:
    async with open_bus(redis_config) as (bus, heard):

        def on_message(channel: str, payload: bytes) -> None:
            heard.log.append((channel, payload))
            raise ValueError(channel)

        bus.on_message = on_message
        await bus.subscribe(["a"])
        await bus.publish_many([("a", b"1"), ("a", b"2")])
        await until(lambda: len(heard.messages) == 2)
        assert bus.healthy


async def retried(call: Callable[[], Awaitable[T]]) -> T:
    """The command connection may come back a little later than the listening one."""
    with trio.fail_after(10):
        while True:
            try:
                return await call()
            except SequencerUnavailable:
                await trio.sleep(0.01)


def test_only_the_last_of_two_subscribe_confirms() -> None:
    state = Subscriptions()
    assert state.connected() == []
    first = state.add([b"a"])
    state.remove([b"a"])
    second = state.add([b"a", b"b"])
    assert state.take_commands() == [
        (b"SUBSCRIBE", b"a"),
        (b"UNSUBSCRIBE", b"a"),
        (b"SUBSCRIBE", b"a", b"b"),
    ]
    assert first is not None
    assert second is not None
    state.confirm(b"a")
    assert not first.is_set()
    state.confirm(b"a")
    assert first.is_set()
    assert not second.is_set()
    state.confirm(b"b")
    assert second.is_set()
    assert state.add([b"a", b"b"]) is None


def test_a_new_connection_starts_from_what_is_wanted() -> None:
    state = Subscriptions()
    state.connected()
    state.add([b"a", b"b", b"c"])
    state.disconnected()
    waiting = state.add([b"d"])
    state.remove([b"b"])
    assert state.take_commands() == []
    assert not state.restored
    assert state.connected() == [(b"SUBSCRIBE", b"a", b"c", b"d")]
    late = state.add([b"e"])
    for channel in (b"a", b"c", b"d"):
        assert not state.restored
        state.confirm(channel)
    assert state.restored  # what came later has callers of its own
    assert waiting is not None
    assert waiting.is_set()
    assert late is not None
    assert not late.is_set()
