"""Telling other workers, as far as they can be reached."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from openim_trio.append.ports import SequencerUnavailable
from openim_trio.services.control import ControlMessage, encode
from openim_trio.services.ports import Publisher

_log = structlog.get_logger()


class Announcer:
    """Control messages on the bus.  While Redis is away they are lost, and so is every worker's
    subscription: on its return the workers drop their caches and look at their sessions again."""

    def __init__(self, bus: Publisher) -> None:
        self._bus = bus

    async def tell(self, items: Iterable[tuple[str, ControlMessage]]) -> None:
        payloads = [(channel, encode(message)) for channel, message in items]
        if not payloads:
            return
        try:
            await self._bus.publish_many(payloads)
        except SequencerUnavailable as error:
            _log.warning("control_messages_lost", count=len(payloads), reason=str(error))
