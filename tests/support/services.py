"""All services on real engines, and what they published."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from openim_trio.append.pipeline import AppendPipeline
from openim_trio.config.model import AuthConfig, Config, MongoConfig, RedisConfig
from openim_trio.domain.actors import Actor
from openim_trio.domain.errors import Code, ServiceError
from openim_trio.domain.platforms import Platform
from openim_trio.domain.records import GroupRecord, UserRecord
from openim_trio.observability.metrics import Metrics
from openim_trio.redisio.bus import Bus
from openim_trio.redisio.connection import RedisConnection
from openim_trio.redisio.own_reads import RedisOwnReads
from openim_trio.redisio.sequencer import RedisSequencer
from openim_trio.services import control
from openim_trio.services.control import ControlMessage
from openim_trio.services.conversation_settings import Chat, Settings
from openim_trio.services.services import Services, build_effects, build_services
from openim_trio.store.client import Store, open_store
from openim_trio.wire import bus_message
from openim_trio.wire.bus_message import BusKind, BusMessage
from openim_trio.wire.proto import extension_pb2, msg_pb2, sdkws_pb2

SECRET = "a secret of the tests, long enough"
ADMIN = Actor("imAdmin", Platform.ADMIN, is_admin=True, token_hash="admin")
_numbers = itertools.count(1)


def actor(user_id: str, platform: Platform = Platform.IOS) -> Actor:
    return Actor(user_id, platform, is_admin=False, token_hash=f"{user_id}-{platform}")


def text(
    send_id: str, recv_id: str = "", *, group_id: str = "", words: str = "hello", **more: Any
) -> sdkws_pb2.MsgData:
    """A text as an official client sends it."""
    fields: dict[str, Any] = {
        "sendID": send_id,
        "recvID": recv_id,
        "groupID": group_id,
        "clientMsgID": f"{next(_numbers):032x}",
        "senderPlatformID": 1,
        "sessionType": 3 if group_id else 1,
        "msgFrom": 100,
        "contentType": 101,
        "content": json.dumps({"content": words}).encode(),
        "createTime": time.time_ns() // 1_000_000,
        "status": 1,
    }
    return sdkws_pb2.MsgData(**{**fields, **more})


def detail(message: sdkws_pb2.MsgData) -> dict[str, Any]:
    """The tips in a system message."""
    inner: dict[str, Any] = json.loads(json.loads(message.content)["detail"])
    return inner


@attrs.define
class Heard:
    """What came over the bus on the channels that a test listens to."""

    items: list[tuple[str, BusMessage]] = attrs.field(factory=list)
    _more: trio.Event = attrs.field(factory=trio.Event)

    def note(self, channel: str, payload: bytes) -> None:
        self.items.append((channel, bus_message.decode(payload)))
        self._more.set()

    def messages(self, content_type: int, channel: str = "") -> list[sdkws_pb2.MsgData]:
        found = []
        for name, item in self.items:
            if item.kind is BusKind.MESSAGE and channel in ("", name):
                message = sdkws_pb2.MsgData.FromString(item.body)
                if message.contentType == content_type:
                    found.append(message)
        return found

    def controls(self, kind: type[Any]) -> list[tuple[str, Any]]:
        return [
            (channel, note)
            for channel, item in self.items
            if item.kind is BusKind.CONTROL
            for note in (control.decode(item.body),)
            if isinstance(note, kind)
        ]

    async def until(self, wanted: Callable[[], object]) -> None:
        with trio.fail_after(10):
            while not wanted():
                self._more = trio.Event()
                await self._more.wait()


@attrs.define
class Bench:
    """One worker's services."""

    services: Services
    store: Store
    pipeline: AppendPipeline
    bus: Bus
    heard: Heard
    redis: RedisConnection
    prefix: str

    async def listen(self, *channels: str) -> None:
        await self.bus.subscribe(channels)

    async def register(self, *user_ids: str) -> None:
        await self.services.users.register([UserRecord(u, f"nick {u}") for u in user_ids])

    async def send(self, message: sdkws_pb2.MsgData) -> msg_pb2.SendMsgResp:
        return await self.services.sending.send(message, actor(message.sendID), "op")

    async def give_up(
        self, message: sdkws_pb2.MsgData, by: Actor | None = None
    ) -> extension_pb2.GiveUpResp:
        """The message stays as it is.  Raises ServiceError."""
        asked = sdkws_pb2.MsgData()
        asked.CopyFrom(message)
        answers, answered = trio.open_memory_channel[extension_pb2.GiveUpResp | ServiceError](1)
        await self.services.sending.give_up(
            asked, by or actor(message.sendID), "op", answers.send_nowait
        )
        answer = await answered.receive()
        if isinstance(answer, ServiceError):
            raise answer
        return answer

    async def set_options(self, owner: str, conversation: str, **fields: Any) -> None:
        """Of a row that exists; `fields` of Settings."""
        [row] = await self.store.conversations.get_many(owner, [conversation])
        chat = Chat(conversation, row.conversation_type, row.user_id, row.group_id)
        await self.services.conversation_settings.change([owner], chat, Settings(**fields))

    async def group(self, owner: str, members: Sequence[str] = (), **fields: Any) -> str:
        admins = fields.pop("admins", ())
        info = await self.services.groups.create(
            actor(owner), GroupRecord("", group_name="g", **fields), owner, members, admins
        )
        return info.groupID

    async def pull(
        self, user_id: str, conversation: str, begin: int = 0, end: int = 10_000, num: int = 100
    ) -> list[sdkws_pb2.MsgData]:
        wanted = sdkws_pb2.SeqRange(conversationID=conversation, begin=begin, end=end, num=num)
        answer = await self.services.pulls.pull_ranges(
            sdkws_pb2.PullMessageBySeqsReq(userID=user_id, seqRanges=[wanted])
        )
        both = {**answer.msgs, **answer.notificationMsgs}
        return list(both[conversation].Msgs) if conversation in both else []

    async def redis_forgets(self) -> None:
        """Every key of this test is gone."""
        keys = await self.redis.call("KEYS", f"{self.prefix}*")
        if keys:
            await self.redis.call("DEL", *keys)

    def on_message(self, channel: str, payload: bytes) -> None:
        self.heard.note(channel, payload)
        item = bus_message.decode(payload)
        if item.kind is BusKind.CONTROL:
            note: ControlMessage | None = control.decode(item.body)
            if note is not None:
                self.services.on_control(note)


async def eventually(look: Callable[[], Awaitable[object]], wanted: object) -> None:
    """For what a majority of the store shows a moment later."""
    with trio.fail_after(10):
        while (found := await look()) != wanted:
            assert found is not None
            await trio.sleep(0.02)


async def refusal(call: Awaitable[object]) -> ServiceError:
    try:
        await call
    except ServiceError as error:
        return error
    raise AssertionError("it was not refused")


async def code_of(call: Awaitable[object]) -> Code:
    return (await refusal(call)).code


@asynccontextmanager
async def open_bench(
    mongo: MongoConfig, redis: RedisConfig, *, auth: AuthConfig | None = None
) -> AsyncIterator[Bench]:
    """A worker without gateway and API; two of them share the engines' contents."""
    metrics = Metrics()
    config = Config(mongo=mongo, redis=redis, auth=auth or AuthConfig(secret=SECRET))
    async with open_store(mongo, metrics) as store:
        await store.create_indexes()
        connection = RedisConnection(redis, metrics)
        bus = Bus(redis, metrics)
        effects = build_effects(store, bus, RedisOwnReads(connection, redis.prefix))
        server_changed: list[Callable[[], None]] = []

        def changed() -> None:
            for call in server_changed:
                call()

        sequencer = RedisSequencer(connection, config.append, redis.prefix, changed)
        pipeline = AppendPipeline(sequencer, store.rows, effects, config.append, metrics)
        server_changed.append(pipeline.server_changed)
        services = build_services(
            store, pipeline, pipeline.heads, bus, config, metrics, effects=effects
        )
        bench = Bench(services, store, pipeline, bus, Heard(), connection, redis.prefix)
        bus.on_message = bench.on_message
        bus.on_restored = lambda since: services.on_bus_lost()
        async with trio.open_nursery() as nursery:
            await nursery.start(connection.run)
            await nursery.start(bus.run)
            await nursery.start(services.own_reads.run)
            await nursery.start(pipeline.run)
            await bus.subscribe(["w"])
            await services.start()
            yield bench
            await pipeline.drain()
            nursery.cancel_scope.cancel()
