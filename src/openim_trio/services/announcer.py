"""Telling other workers, as far as they can be reached."""

from __future__ import annotations

from collections.abc import Iterable

import structlog
import trio

from openim_trio.append.ports import SequencerUnavailable
from openim_trio.services.control import ControlMessage, encode
from openim_trio.services.ports import Publisher

PAUSES = (0.1, 0.3, 1.0)
PATIENCE = 6.0
"""seconds: a dead connection shows after three, then there is time for a new one"""

_log = structlog.get_logger()


class Announcer:
    """Control messages on the bus.

    If it was only this worker's connection that broke, nobody else notices, so they are tried again
    for a moment (they may come twice).  While Redis is away they are lost, and so is every worker's
    subscription: on its return the workers drop their caches and look at their sessions again."""

    def __init__(self, bus: Publisher) -> None:
        self._bus = bus

    async def tell(self, items: Iterable[tuple[str, ControlMessage]]) -> None:
        payloads = [(channel, encode(message)) for channel, message in items]
        if not payloads:
            return
        until = trio.current_time() + PATIENCE
        for pause in (*PAUSES, PATIENCE):
            try:
                await self._bus.publish_many(payloads)
            except SequencerUnavailable as error:
                if trio.current_time() + pause > until:
                    _log.warning("control_messages_lost", count=len(payloads), reason=str(error))
                    return
                await trio.sleep(pause)
            else:
                return
