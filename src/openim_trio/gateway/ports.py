"""What the gateway needs of the services and of the bus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from openim_trio.append.ports import Head
from openim_trio.domain.actors import Actor
from openim_trio.domain.errors import ServiceError
from openim_trio.services.control import ControlMessage
from openim_trio.wire.proto import extension_pb2, msg_pb2, sdkws_pb2


class GatewayBus(Protocol):
    """`redisio.bus.Bus`.  The coroutines raise SequencerUnavailable."""

    on_message: Callable[[str, bytes], None]
    on_chunk_end: Callable[[], None]
    on_restored: Callable[[float], None]

    async def subscribe(self, channels: Iterable[str]) -> None: ...
    def unsubscribe(self, channels: Iterable[str]) -> None: ...
    async def publish(self, channel: str, payload: bytes) -> int: ...
    async def publish_many(self, items: Sequence[tuple[str, bytes]]) -> list[int]: ...
    async def subscribers(self, channels: Sequence[str]) -> list[int]: ...


class RowReader(Protocol):
    async def rows_between(
        self, conversation: str, lo: int, hi: int
    ) -> list[sdkws_pb2.MsgData]: ...


class TokenGate(Protocol):
    async def check(self, token: str) -> Actor: ...
    async def connected(self, actor: Actor) -> None: ...
    async def refused(self, actors: Sequence[Actor]) -> dict[str, ServiceError]: ...


class SendGate(Protocol):
    async def submit(
        self,
        msg: sdkws_pb2.MsgData,
        actor: Actor,
        operation_id: str,
        done: Callable[[msg_pb2.SendMsgResp | ServiceError], None],
    ) -> None: ...
    async def give_up(
        self,
        msg: sdkws_pb2.MsgData,
        actor: Actor,
        operation_id: str,
        done: Callable[[extension_pb2.GiveUpResp | ServiceError], None],
    ) -> None: ...


class PullGate(RowReader, Protocol):
    async def max_seqs(self, user_id: str) -> sdkws_pb2.GetMaxSeqResp: ...
    async def pull_ranges(
        self, req: sdkws_pb2.PullMessageBySeqsReq
    ) -> sdkws_pb2.PullMessageBySeqsResp: ...
    async def pull_seqs(self, req: msg_pb2.GetSeqMessageReq) -> msg_pb2.GetSeqMessageResp: ...
    async def read_and_max(
        self, req: msg_pb2.GetConversationsHasReadAndMaxSeqReq
    ) -> msg_pb2.GetConversationsHasReadAndMaxSeqResp: ...
    async def last_messages(self, req: msg_pb2.GetLastMessageReq) -> msg_pb2.GetLastMessageResp: ...


class HeadReader(Protocol):
    async def heads(self, conversations: Sequence[str]) -> dict[str, Head]: ...


class GatewayServices(Protocol):
    """memberships         a user's groups, from the store
    conversation_ids    a user's conversations with their notification twins
    on_control          caches drop what a control message says
    on_lost_messages    caches drop everything
    """

    @property
    def tokens(self) -> TokenGate: ...
    @property
    def sending(self) -> SendGate: ...
    @property
    def pulls(self) -> PullGate: ...
    @property
    def heads(self) -> HeadReader: ...

    async def memberships(self, user_id: str) -> Iterable[str]: ...
    async def conversation_ids(self, user_id: str) -> list[str]: ...
    def on_control(self, message: ControlMessage) -> None: ...
    def on_lost_messages(self) -> None: ...
