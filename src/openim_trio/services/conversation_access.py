"""Which part of a conversation a user may read.

A user's own row of it opens a chat, and so does being one of its two users or a member of its
group.  A notification conversation (`n_`) is open to the same people as the chat it belongs to.
IDs may hold underscores, so an ID alone does not always say whose it is: each message is looked at,
too (`View.concerns`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from openim_trio.append.ports import Head
from openim_trio.domain.conversations import SessionType, is_notification
from openim_trio.domain.records import ConversationRecord
from openim_trio.domain.send_rules import MAX_USER_ID
from openim_trio.services.memberships import Memberships
from openim_trio.services.ports import HeadReader
from openim_trio.store.bounds import Bounds
from openim_trio.store.conversations import Conversations
from openim_trio.wire.proto import sdkws_pb2

CHAT_PREFIXES = ("si_", "sn_", "sg_")
NOTHING = Head(0, 0)
MAX_CONVERSATION_ID = 2 * MAX_USER_ID + 4
"""characters: `si_`, two user IDs and what is between them"""


@attrs.frozen(slots=True)
class View:
    """A user's view: seqs low..high may be read (none if high < low).

    row: the user's own row of the chat, if there is one; member: the user is in the group."""

    user_id: str
    conversation: str
    low: int
    high: int
    head: Head
    row: ConversationRecord | None
    member: bool

    def concerns(self, message: sdkws_pb2.MsgData) -> bool:
        if message.sessionType == SessionType.GROUP:
            return self.member
        return self.user_id in (message.sendID, message.recvID)


class ConversationAccess:
    def __init__(
        self,
        conversations: Conversations,
        bounds: Bounds,
        memberships: Memberships,
        heads: HeadReader,
    ) -> None:
        self._conversations = conversations
        self._bounds = bounds
        self._memberships = memberships
        self._heads = heads

    async def views(self, user_id: str, names: Iterable[str]) -> dict[str, View]:
        """Of the conversations that the user may read; the others are missing."""
        wanted = list(dict.fromkeys(names))
        chats = [chat for name in wanted for chat in chats_of(name)]
        rows = {
            row.conversation_id: row for row in await self._conversations.get_many(user_id, chats)
        }
        open_to = {name: await self._open_to(user_id, name, rows) for name in wanted}
        readable = [name for name in wanted if open_to[name] is not None]
        if not readable:
            return {}
        heads = await self._heads.heads(readable)
        lows = await self._bounds.min_seqs(readable)
        return {
            name: view(
                user_id, name, rows.get(name), heads.get(name, NOTHING), lows.get(name, 0),
                member=bool(open_to[name]),
            )
            for name in readable
        }  # fmt: skip

    async def view(self, user_id: str, name: str) -> View | None:
        return (await self.views(user_id, [name])).get(name)

    async def _open_to(
        self, user_id: str, name: str, rows: dict[str, ConversationRecord]
    ) -> bool | None:
        """None: not open.  Otherwise whether messages of a group are, too."""
        if len(name) > MAX_CONVERSATION_ID:
            return None
        prefix, _, rest = name.partition("_")
        group_chat = f"sg_{rest}"
        if not is_notification(name):
            if name in rows:
                return name == group_chat
            if prefix == "sg":
                return True if await self._is_member(user_id, rest) else None
            return False if prefix in ("si", "sn") and is_party(user_id, rest) else None
        party = is_party(user_id, rest)
        if (group_chat in rows or not party) and await self._is_member(user_id, rest):
            return True
        return False if party else None

    async def _is_member(self, user_id: str, group_id: str) -> bool:
        return user_id in (await self._memberships.members(group_id)).ids


def view(
    user_id: str,
    name: str,
    row: ConversationRecord | None,
    head: Head,
    conversation_low: int,
    *,
    member: bool,
) -> View:
    low = max(1, conversation_low, row.min_seq if row else 0)
    high = min(head.seq, row.max_seq) if row and row.max_seq else head.seq
    return View(user_id, name, low, high, head, row, member)


def chats_of(name: str) -> Sequence[str]:
    """The chats whose row says something about access to a conversation."""
    if is_notification(name):
        rest = name.partition("_")[2]
        return [f"{prefix}{rest}" for prefix in CHAT_PREFIXES]
    return [name]


def is_party(user_id: str, pair: str) -> bool:
    """Whether the user is one of the two whole IDs of `a_b`."""
    size = len(user_id) + 1
    return len(pair) > size and (pair.startswith(f"{user_id}_") or pair.endswith(f"_{user_id}"))
