"""Services and a bus in memory, as far as the gateway uses them."""

from __future__ import annotations

import socket
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import attrs
import trio

from openim_trio.append.ports import Head, SequencerUnavailable
from openim_trio.append.publication import channels_of
from openim_trio.config.model import AuthConfig, Config, GatewayConfig
from openim_trio.demo.login import Login
from openim_trio.domain import conversations
from openim_trio.domain.actors import Actor
from openim_trio.domain.errors import Code, ServiceError
from openim_trio.domain.platforms import Platform
from openim_trio.gateway.server import Gateway
from openim_trio.observability.metrics import Metrics
from openim_trio.services.control import ControlMessage, Kick, encode, user_channel
from openim_trio.wire import bus_message
from openim_trio.wire.bus_message import BusKind, BusMessage
from openim_trio.wire.proto import extension_pb2, msg_pb2, sdkws_pb2

Done = Callable[[msg_pb2.SendMsgResp | ServiceError], None]
GivenUp = Callable[[extension_pb2.GiveUpResp | ServiceError], None]


class Broker:
    """What several `FakeBus` share."""

    def __init__(self) -> None:
        self.buses: list[FakeBus] = []

    def publish(self, channel: str, payload: bytes) -> int:
        listeners = [bus for bus in self.buses if channel in bus.channels and bus.up]
        for bus in listeners:
            bus.on_message(channel, payload)
            bus.on_chunk_end()
        return len(listeners)


class FakeBus:
    """`up` False: published messages do not arrive, and calls fail."""

    def __init__(self, broker: Broker) -> None:
        self.channels: set[str] = set()
        self.up = True
        self.on_message: Callable[[str, bytes], None] = lambda channel, payload: None
        self.on_chunk_end: Callable[[], None] = lambda: None
        self.on_restored: Callable[[float], None] = lambda since: None
        self._broker = broker
        self._good_at = 0.0
        broker.buses.append(self)

    def lose(self) -> None:
        self.up = False
        self._good_at = trio.current_time()

    def restore(self) -> None:
        self.up = True
        self.on_restored(self._good_at)

    async def subscribe(self, channels: Iterable[str]) -> None:
        self.channels.update(channels)
        await trio.lowlevel.checkpoint()
        self._check()

    def unsubscribe(self, channels: Iterable[str]) -> None:
        self.channels.difference_update(channels)

    async def publish(self, channel: str, payload: bytes) -> int:
        return (await self.publish_many([(channel, payload)]))[0]

    async def publish_many(self, items: Sequence[tuple[str, bytes]]) -> list[int]:
        await trio.lowlevel.checkpoint()
        self._check()
        return [self._broker.publish(channel, payload) for channel, payload in items]

    async def subscribers(self, channels: Sequence[str]) -> list[int]:
        await trio.lowlevel.checkpoint()
        self._check()
        return [sum(c in bus.channels for bus in self._broker.buses) for c in channels]

    def _check(self) -> None:
        if not self.up:
            raise SequencerUnavailable("down")


class World:
    """The rows, tokens and groups that all workers see.  `held`: unless None, sends wait there for
    `let_go`."""

    def __init__(self) -> None:
        self.broker = Broker()
        self.rows: dict[str, list[sdkws_pb2.MsgData]] = defaultdict(list)
        self.owned: dict[str, set[str]] = defaultdict(set)
        self.groups: dict[str, set[str]] = defaultdict(set)
        self.refused: dict[str, ServiceError] = {}
        self.held: list[Callable[[], None]] | None = None
        self.pull_delay = 0.0

    def store(self, message: sdkws_pb2.MsgData) -> tuple[str, sdkws_pb2.MsgData]:
        """Without publishing it."""
        conversation = conversations.conversation_of(
            message.sessionType,
            message.sendID,
            message.recvID,
            message.groupID,
            notification=not message.options.get("isNotNotification", True),
        )
        rows = self.rows[conversation]
        stored = sdkws_pb2.MsgData()
        stored.CopyFrom(message)
        stored.seq = len(rows) + 1
        stored.sendTime = int(time.time() * 1000)
        stored.serverMsgID = f"server-{message.clientMsgID}"
        rows.append(stored)
        members = {u for u, groups in self.groups.items() if message.groupID in groups}
        for user in members or {message.sendID, message.recvID}:
            self.owned[user].add(conversation)
        return conversation, stored

    def publish(self, conversation: str, row: sdkws_pb2.MsgData, operation_id: str = "") -> None:
        message = BusMessage(
            BusKind.MESSAGE, conversation, row.seq, operation_id, row.SerializeToString()
        )
        for channel in channels_of(row):
            self.broker.publish(channel, bus_message.encode(message))

    def say(self, message: sdkws_pb2.MsgData) -> sdkws_pb2.MsgData:
        conversation, row = self.store(message)
        self.publish(conversation, row)
        return row

    def let_go(self) -> None:
        held, self.held = self.held or [], None
        for finish in held:
            finish()

    def tell(self, channel: str, message: ControlMessage) -> None:
        self.broker.publish(channel, encode(message))


class FakeServices:
    """One object for all the parts; tokens read `<user>:<platform>:<anything>`."""

    def __init__(self, world: World, bus: FakeBus) -> None:
        self.world = world
        self.bus = bus
        self.tokens = self
        self.sending = self
        self.pulls = self
        self.controls: list[ControlMessage] = []
        self.losses = 0
        self.requests: list[str] = []

    @property
    def heads(self) -> FakeHeads:
        return FakeHeads(self.world)

    async def memberships(self, user_id: str) -> Iterable[str]:
        await trio.lowlevel.checkpoint()
        return self.world.groups[user_id]

    async def conversation_ids(self, user_id: str) -> list[str]:
        await trio.lowlevel.checkpoint()
        return sorted(self.world.owned[user_id])

    def on_control(self, message: ControlMessage) -> None:
        self.controls.append(message)

    def on_lost_messages(self) -> None:
        self.losses += 1

    # -- tokens

    async def check(self, token: str) -> Actor:
        await trio.lowlevel.checkpoint()
        if token in self.world.refused:
            raise self.world.refused[token]
        user, _, rest = token.partition(":")
        return Actor(user, Platform(int(rest.partition(":")[0])), user == "admin", token)

    async def connected(self, actor: Actor) -> None:
        kick = Kick(actor.user_id, int(actor.platform), True, actor.token_hash)
        await self.bus.publish(user_channel(actor.user_id), encode(kick))

    async def refused(self, actors: Sequence[Actor]) -> dict[str, ServiceError]:
        await trio.lowlevel.checkpoint()
        wanted = {actor.token_hash for actor in actors}
        return {t: error for t, error in self.world.refused.items() if t in wanted}

    # -- sends

    async def submit(
        self, msg: sdkws_pb2.MsgData, actor: Actor, operation_id: str, done: Done
    ) -> None:
        if msg.contentType == 0:
            raise ServiceError(Code.ARGS, "contentType: is missing")
        if msg.contentType == 999:
            raise ZeroDivisionError
        await trio.lowlevel.checkpoint()
        if self.world.held is None:
            self._finish(msg, operation_id, done)
        else:
            self.world.held.append(partial(self._finish, msg, operation_id, done))

    def _finish(self, msg: sdkws_pb2.MsgData, operation_id: str, done: Done) -> None:
        conversation, row = self.world.store(msg)
        self.world.publish(conversation, row, operation_id)
        done(_sent(row))

    async def give_up(
        self, msg: sdkws_pb2.MsgData, actor: Actor, operation_id: str, done: GivenUp
    ) -> None:
        await trio.lowlevel.checkpoint()
        if self.world.held is None:
            self._decide(msg, done)
        else:
            self.world.held.append(partial(self._decide, msg, done))

    def _decide(self, msg: sdkws_pb2.MsgData, done: GivenUp) -> None:
        for rows in self.world.rows.values():
            for row in rows:
                if row.clientMsgID == msg.clientMsgID:
                    done(extension_pb2.GiveUpResp(delivered=True, sent=_sent(row)))
                    return
        done(extension_pb2.GiveUpResp())

    # -- pulls

    async def rows_between(self, conversation: str, lo: int, hi: int) -> list[sdkws_pb2.MsgData]:
        await trio.lowlevel.checkpoint()
        self.requests.append(f"rows {conversation} {lo}-{hi}")
        return self.world.rows[conversation][lo - 1 : hi]

    async def max_seqs(self, user_id: str) -> sdkws_pb2.GetMaxSeqResp:
        self.requests.append(f"max_seqs {user_id}")
        await trio.sleep(self.world.pull_delay)
        owned = self.world.owned[user_id]
        return sdkws_pb2.GetMaxSeqResp(maxSeqs={c: len(self.world.rows[c]) for c in owned})

    async def pull_ranges(
        self, req: sdkws_pb2.PullMessageBySeqsReq
    ) -> sdkws_pb2.PullMessageBySeqsResp:
        await trio.lowlevel.checkpoint()
        answer = sdkws_pb2.PullMessageBySeqsResp()
        for wanted in req.seqRanges:
            rows = self.world.rows[wanted.conversationID][wanted.begin - 1 : wanted.end]
            answer.msgs[wanted.conversationID].Msgs.extend(rows)
        return answer

    async def pull_seqs(self, req: msg_pb2.GetSeqMessageReq) -> msg_pb2.GetSeqMessageResp:
        await trio.lowlevel.checkpoint()
        return msg_pb2.GetSeqMessageResp()

    async def read_and_max(
        self, req: msg_pb2.GetConversationsHasReadAndMaxSeqReq
    ) -> msg_pb2.GetConversationsHasReadAndMaxSeqResp:
        await trio.lowlevel.checkpoint()
        return msg_pb2.GetConversationsHasReadAndMaxSeqResp()

    async def last_messages(self, req: msg_pb2.GetLastMessageReq) -> msg_pb2.GetLastMessageResp:
        await trio.lowlevel.checkpoint()
        return msg_pb2.GetLastMessageResp()


def _sent(row: sdkws_pb2.MsgData) -> msg_pb2.SendMsgResp:
    return msg_pb2.SendMsgResp(
        serverMsgID=row.serverMsgID, clientMsgID=row.clientMsgID, sendTime=row.sendTime
    )


@attrs.frozen
class FakeHeads:
    world: World

    async def heads(self, conversations: Sequence[str]) -> dict[str, Head]:
        await trio.lowlevel.checkpoint()
        return {
            c: Head(len(rows), rows[-1].sendTime if rows else 0)
            for c in conversations
            for rows in (self.world.rows[c],)
        }


@attrs.frozen
class Served:
    """A gateway that accepts on `port`."""

    gateway: Gateway
    services: FakeServices
    bus: FakeBus
    metrics: Metrics
    port: int

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"openim_trio_{name}", labels) or 0.0


def listening_socket() -> socket.socket:
    listen = socket.socket()
    listen.bind(("127.0.0.1", 0))
    listen.listen(128)
    listen.setblocking(False)
    return listen


@asynccontextmanager
async def serving(
    world: World, gateway_config: GatewayConfig, *, policy: int = 1, worker: str = ""
) -> AsyncIterator[Served]:
    bus = FakeBus(world.broker)
    services = FakeServices(world, bus)
    metrics = Metrics()
    config = Config(gateway=gateway_config, auth=AuthConfig(login_policy=policy))
    gateway = Gateway(config, services, bus, metrics, worker)
    with listening_socket() as listen:
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda task_status: gateway.serve(listen, task_status=task_status))
            try:
                yield Served(gateway, services, bus, metrics, listen.getsockname()[1])
            finally:
                nursery.cancel_scope.cancel()


def login(
    user: str,
    platform: int = 1,
    *,
    js: bool = False,
    gzip: bool = True,
    msg_resp: bool = False,
    device: str = "",
    **extra: str,
) -> Login:
    """`device` makes another token."""
    token = f"{user}:{platform}:{device}"
    return Login(user, token, platform, js, gzip, msg_resp, extra)
