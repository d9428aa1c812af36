"""Tells the server what has been stored, so that it shows again only what did not arrive."""

from __future__ import annotations

from collections.abc import Iterable

import trio

from openim_trio.client.channel import Channel
from openim_trio.client.ledger import Ledger
from openim_trio.wire.identifiers import Req
from openim_trio.wire.proto import extension_pb2

EVERY = 0.5
"""seconds: what is stored meanwhile goes into one message"""
AT_ONCE = 500
"""conversations in one message"""


class Delivered:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: dict[str, None] = {}
        self._wake = trio.Event()

    def stored(self, conversation_ids: Iterable[str]) -> None:
        self._waiting.update(dict.fromkeys(conversation_ids))
        if self._waiting:
            self._wake.set()

    async def run(self, channel: Channel) -> None:
        """While there is this connection.  Raises what ends it."""
        self._waiting.clear()
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            await trio.sleep(EVERY)
            while self._waiting:
                await self._tell(channel)

    async def _tell(self, channel: Channel) -> None:
        request = extension_pb2.DeliveredReq()
        while self._waiting and len(request.conversations) < AT_ONCE:
            name, _ = self._waiting.popitem()
            complete = self._ledger[name].complete
            if complete:
                request.conversations.add(conversationID=name, seq=complete)
        if request.conversations:
            await channel.tell(Req.DELIVERED, request)
