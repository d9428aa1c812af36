"""Conversations: the list, what is unread, and their settings."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from openim_trio.client.account import Account
from openim_trio.client.database import conversations, messages
from openim_trio.client.errors import InvalidArgument, MessageNotFound
from openim_trio.client.model import Conversation
from openim_trio.domain.conversations import SessionType

MOST_SEQS = 1_000
"""listed in one read receipt; the server takes all up to the read seq anyway"""


class Conversations:
    def __init__(self, account: Account) -> None:
        self._account = account
        self._user = account.user_id
        self._database = account.ledger.database

    # -- the list ----------------------------------------------------------------------------------

    async def list(self) -> list[Conversation]:
        """GetAllConversationList: pinned ones first, then by the newest message."""
        return await self._database.read(conversations.listed)

    async def get(self, conversation_id: str) -> Conversation:
        """GetOneConversation.  Raises MessageNotFound."""
        found = await self._database.read(lambda c: conversations.get(c, conversation_id))
        if found is None:
            raise MessageNotFound(f"{conversation_id}: no such conversation here")
        return found

    async def total_unread(self) -> int:
        """GetTotalUnreadMsgCount: of those that notify."""
        return await self._database.read(conversations.total_unread)

    # -- what is read ------------------------------------------------------------------------------

    async def mark_read(self, conversation_id: str) -> None:
        """MarkConversationMessageAsRead: all of it; the peer is told.  Raises MessageNotFound,
        NotConnected, ServerRefused."""
        conversation = await self.get(conversation_id)
        if not conversation.unread or not conversation.max_seq:
            return
        read_to = conversation.max_seq
        seqs: list[int] = []
        if conversation.session_type == SessionType.SINGLE:
            first = max(conversation.read_seq + 1, read_to - MOST_SEQS + 1)
            found = await self._database.read(
                lambda c: messages.at(c, conversation_id, range(first, read_to + 1))
            )
            seqs = [message.seq for message in found if message.send_id != self._user]
        await self._account.calls.mark_read(self._user, conversation_id, read_to, seqs)
        await self._change(
            conversation_id, lambda c: conversations.set_read(c, conversation_id, read_to)
        )

    # -- settings ----------------------------------------------------------------------------------

    async def pin(self, conversation_id: str, pinned: bool) -> None:
        """PinConversation.  Raises MessageNotFound, NotConnected, ServerRefused."""
        await self._set(conversation_id, is_pinned=pinned)

    async def set_receive_option(self, conversation_id: str, option: int) -> None:
        """SetConversationRecvMessageOpt: 0 receive, 1 do not receive, 2 receive silently.  Raises
        as `pin`."""
        if option not in (0, 1, 2):
            raise InvalidArgument("option: must be 0, 1 or 2")
        await self._set(conversation_id, recv_msg_opt=option)

    async def set_draft(self, conversation_id: str, text: str) -> None:
        """SetConversationDraft: it stays on this device; '' removes it."""
        await self.get(conversation_id)
        await self._change(
            conversation_id, lambda c: conversations.set_draft(c, conversation_id, text)
        )

    async def clear(self, conversation_id: str) -> None:
        """ClearConversationAndDeleteAllMsg: hide all its messages from this user.  Raises
        MessageNotFound, NotConnected, ServerRefused."""
        conversation = await self.get(conversation_id)
        await self._account.calls.clear(self._user, [conversation_id], tell_devices=True)

        def work(connection: sqlite3.Connection) -> None:
            messages.clear(connection, conversation_id, conversation.max_seq)
            conversations.set_read(connection, conversation_id, conversation.max_seq)

        await self._change(conversation_id, work)

    async def _set(
        self,
        conversation_id: str,
        *,
        is_pinned: bool | None = None,
        recv_msg_opt: int | None = None,
    ) -> None:
        conversation = await self.get(conversation_id)
        await self._account.calls.set_conversation(
            self._user, conversation, is_pinned=is_pinned, recv_msg_opt=recv_msg_opt
        )
        # The server's word comes by the list, to this device as to the others.
        self._account.roster.refresh()

    async def _change(
        self, conversation_id: str, work: Callable[[sqlite3.Connection], object]
    ) -> None:
        await self._database.write(work)
        self._account.showing.changed([conversation_id])
