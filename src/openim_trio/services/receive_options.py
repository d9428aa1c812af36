"""Whether a receiver wants messages: the global option and that of the conversation, cached."""

from __future__ import annotations

from openim_trio.domain.send_rules import DO_NOT_RECEIVE, RECEIVE, RECEIVE_SILENTLY
from openim_trio.services.caches import Cache
from openim_trio.store.conversations import Conversations

CACHE_SIZE = 200_000
CACHE_SECONDS = 600.0


class ReceiveOptions:
    def __init__(self, conversations: Conversations) -> None:
        self._conversations = conversations
        self._cache: Cache[tuple[str, str], int] = Cache(CACHE_SIZE, CACHE_SECONDS)

    async def of(self, owner: str, conversation: str) -> int:
        """recvMsgOpt; 0 if there is no row yet."""
        pair = (owner, conversation)
        known = self._cache.get(pair)
        if known is not None:
            return known
        epoch = self._cache.epoch
        row = (await self._conversations.of_pairs([pair])).get(pair)
        option = row.recv_msg_opt if row is not None else RECEIVE
        self._cache.put(pair, option, epoch)
        return option

    def drop(self, owner: str, conversation: str) -> None:
        self._cache.drop([(owner, conversation)])

    def drop_all(self) -> None:
        self._cache.clear()


def stricter(one: int, other: int) -> int:
    """Of two options: do not receive, then silently, then receive."""
    for option in (DO_NOT_RECEIVE, RECEIVE_SILENTLY):
        if option in (one, other):
            return option
    return RECEIVE
