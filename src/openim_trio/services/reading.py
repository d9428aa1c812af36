"""Rows of several conversations as one user is shown them, in a few batched reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from openim_trio.domain.conversations import SessionType, is_notification
from openim_trio.domain.presenting import (
    Quote,
    hide,
    placeholder,
    present,
    quote_of,
    revoke_quote,
)
from openim_trio.domain.rows import StoredRow
from openim_trio.services.conversation_access import View
from openim_trio.store.conversations import Conversations
from openim_trio.store.hidden import Hidden
from openim_trio.store.rows import MongoRows
from openim_trio.wire.proto import sdkws_pb2

Shown = dict[int, sdkws_pb2.MsgData]
"""seq -> message"""


@attrs.frozen(slots=True)
class Wanted:
    """Seqs first..last of a view, inclusive; `seqs`: only these of them."""

    view: View
    first: int
    last: int
    seqs: tuple[int, ...] | None = None

    def numbers(self) -> Sequence[int]:
        return range(self.first, self.last + 1) if self.seqs is None else self.seqs


class Reader:
    def __init__(self, rows: MongoRows, hidden: Hidden, conversations: Conversations) -> None:
        self._rows = rows
        self._hidden = hidden
        self._conversations = conversations

    async def read(self, user_id: str, wanted: Sequence[Wanted]) -> list[Shown]:
        """Every wanted seq has an entry: what is missing is a placeholder."""
        if not wanted:
            return []
        stored = await self._stored(wanted)
        chats = [
            (item.view.conversation, item.first, item.last)
            for item in wanted
            if not is_notification(item.view.conversation)
        ]
        hidden = await self._hidden.within(user_id, chats) if chats else {}
        shown = [
            self._show(item, rows, hidden.get(item.view.conversation, set()))
            for item, rows in zip(wanted, stored, strict=True)
        ]
        await self._rewrite_quotes(wanted, shown)
        await self._mark_read(user_id, wanted, shown)
        return shown

    async def _stored(self, wanted: Sequence[Wanted]) -> list[list[StoredRow]]:
        if all(item.seqs is None for item in wanted):
            return await self._rows.read_ranges(
                [(item.view.conversation, item.first, item.last) for item in wanted]
            )
        return await self._rows.read_seqs(
            [(item.view.conversation, item.numbers()) for item in wanted]
        )

    def _show(self, item: Wanted, rows: Sequence[StoredRow], hidden: set[int]) -> Shown:
        shown: Shown = {}
        for row in rows:
            message = present(row)
            if message.sendID and not item.view.concerns(message):
                message = placeholder(row.seq, message.sendTime)
            if row.seq in hidden:
                hide(message)
            message.seq = row.seq
            shown[row.seq] = message
        for seq in item.numbers():
            if seq not in shown:
                shown[seq] = placeholder(seq)
        return shown

    async def _rewrite_quotes(self, wanted: Sequence[Wanted], shown: Sequence[Shown]) -> None:
        quotes: dict[str, list[tuple[sdkws_pb2.MsgData, Quote]]] = {}
        for item, messages in zip(wanted, shown, strict=True):
            for message in messages.values():
                quote = quote_of(message)
                if quote is not None:
                    quotes.setdefault(item.view.conversation, []).append((message, quote))
        if not quotes:
            return
        names = list(quotes)
        found = await self._rows.read_seqs(
            [(name, sorted({quote.seq for _, quote in quotes[name]})) for name in names]
        )
        for name, rows in zip(names, found, strict=True):
            by_seq = {row.seq: row for row in rows}
            for message, quote in quotes[name]:
                if quote.seq in by_seq:
                    revoke_quote(message, quote, by_seq[quote.seq])

    async def _mark_read(
        self, user_id: str, wanted: Sequence[Wanted], shown: Sequence[Shown]
    ) -> None:
        """In single chats: the receiver's read seq has reached the message."""
        peers = {
            item.view.conversation: (peer, item.view.conversation)
            for item, messages in zip(wanted, shown, strict=True)
            for peer in (_peer(item.view, user_id, messages),)
            if peer
        }
        if not peers:
            return
        rows = await self._conversations.of_pairs(peers.values())
        for item, messages in zip(wanted, shown, strict=True):
            name = item.view.conversation
            own = item.view.row.read_seq if item.view.row else 0
            other = rows.get(peers[name]) if name in peers else None
            read = {user_id: own}
            if other is not None:
                read.setdefault(other.owner_user_id, other.read_seq)
            _mark(messages, read)


def _peer(view: View, user_id: str, messages: Mapping[int, sdkws_pb2.MsgData]) -> str:
    """The other user of a single chat; "" for other conversations."""
    if view.row is not None:
        is_single = view.row.conversation_type == SessionType.SINGLE
        return view.row.user_id if is_single else ""
    if not view.conversation.startswith("si_"):
        return ""
    for message in messages.values():
        if message.sendID:
            return message.recvID if message.sendID == user_id else message.sendID
    return ""


def _mark(messages: Mapping[int, sdkws_pb2.MsgData], read: Mapping[str, int]) -> None:
    for seq, message in messages.items():
        if message.sessionType == SessionType.SINGLE:
            message.isRead = seq <= read.get(message.recvID, 0)
