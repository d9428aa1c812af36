"""Messages that are not stored: straight to the bus, with seq 0, for whoever is connected."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from openim_trio.append.publication import channels_of
from openim_trio.domain.send_rules import conversation
from openim_trio.services.ports import Publisher
from openim_trio.wire import bus_message
from openim_trio.wire.bus_message import BusKind, BusMessage
from openim_trio.wire.proto import sdkws_pb2


@attrs.frozen(slots=True)
class Unstored:
    """channels: where to instead of the message's own sender and receiver."""

    message: sdkws_pb2.MsgData
    channels: tuple[str, ...] = ()
    operation_id: str = ""


class OnlinePush:
    """Both raise SequencerUnavailable: then nobody, or not everybody, got it."""

    def __init__(self, bus: Publisher) -> None:
        self._bus = bus

    async def push(self, item: Unstored) -> None:
        await self.push_all([item])

    async def push_all(self, items: Sequence[Unstored]) -> None:
        payloads = [
            (channel, payload)
            for item in items
            for payload in (_payload(item),)
            for channel in item.channels or channels_of(item.message)
        ]
        if len(payloads) == 1:
            await self._bus.publish(*payloads[0])
        elif payloads:
            await self._bus.publish_many(payloads)


def _payload(item: Unstored) -> bytes:
    message = item.message
    return bus_message.encode(
        BusMessage(
            BusKind.MESSAGE,
            conversation(message),
            0,
            item.operation_id,
            message.SerializeToString(),
        )
    )
