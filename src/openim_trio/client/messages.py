"""Messages: sending, reading, changing."""

from __future__ import annotations

from openim_trio.client import history
from openim_trio.client.account import Account
from openim_trio.client.contents import Draft, message_data
from openim_trio.client.conversation_ids import chat_with, parties
from openim_trio.client.database import messages
from openim_trio.client.errors import (
    InvalidArgument,
    MessageHasNoSeq,
    MessageNotFound,
)
from openim_trio.client.model import Message, MessageStatus, message_of
from openim_trio.domain import options
from openim_trio.wire.identifiers import Req
from openim_trio.wire.proto import msg_pb2, sdkws_pb2

MOST_PULLED = 500
"""messages in one page of history"""


class Messages:
    def __init__(self, account: Account) -> None:
        self._account = account
        self._user = account.user_id
        self._database = account.ledger.database

    # -- sending -----------------------------------------------------------------------------------

    async def send(
        self,
        draft: Draft,
        *,
        to: str = "",
        group: str = "",
        client_msg_id: str = "",
        nickname: str = "",
        face_url: str = "",
    ) -> Message:
        """SendMessage.  `draft`: from `openim_trio.client.contents`; exactly one of `to` and
        `group`.

        Returns when the message is in the local database, connected or not; it is on its way then,
        also over restarts.  Its end comes as the event MessageSent or MessageFailed, or from
        `outcome`.  Messages that are not to be stored (typing) are sent at once or not at all.

        Raises InvalidArgument, DatabaseError; for messages that are not stored NotConnected and
        ServerRefused, too.
        """
        data = message_data(
            draft,
            sender=self._user,
            sender_nickname=nickname,
            sender_face_url=face_url,
            platform=self._account.settings.platform,
            to=to,
            group=group,
            client_msg_id=client_msg_id,
        )
        name = chat_with(self._user, to=to, group=group)
        if not options.is_on(data.options, options.HISTORY):
            return await self._send_online_only(data, name)
        return await self._account.sending.queue(data, name, parties(name, self._user))

    async def _send_online_only(self, data: sdkws_pb2.MsgData, name: str) -> Message:
        data.createTime = self._account.server_time()
        answer = await self._account.channel().call(Req.SEND, data, msg_pb2.SendMsgResp)
        data.serverMsgID, data.sendTime = answer.serverMsgID, answer.sendTime
        return message_of(data, name, MessageStatus.SENT)

    async def outcome(self, client_msg_id: str) -> Message:
        """Wait for the definite end of a send.  Raises SendFailed: it never was and never will be
        delivered."""
        return await self._account.sending.outcome(client_msg_id)

    async def forget_failed(self, client_msg_id: str) -> None:
        """Remove a message that failed from the local database.  Raises MessageNotFound."""
        removed = await self._database.write(
            lambda c: messages.remove_unsent(c, self._user, client_msg_id)
        )
        if not removed:
            raise MessageNotFound(f"{client_msg_id}: no failed message")

    # -- reading -----------------------------------------------------------------------------------

    async def get(self, client_msg_id: str) -> Message:
        """Raises MessageNotFound."""
        found = await self._database.read(lambda c: messages.get(c, client_msg_id))
        if found is None:
            raise MessageNotFound(f"{client_msg_id}: no such message here")
        return found

    async def history(
        self, conversation_id: str, *, before: Message | None = None, count: int = 20
    ) -> list[Message]:
        """GetAdvancedHistoryMessageList: the `count` messages before `before` (None: the newest),
        oldest first.  What is not held locally is asked for, if there is a connection."""
        if not 0 < count <= MOST_PULLED:
            raise InvalidArgument(f"count: must be 1 to {MOST_PULLED}")
        before_seq = before.seq if before is not None else 0
        if before is not None and not before_seq:
            raise MessageHasNoSeq(f"{before.client_msg_id}: not known to be stored yet")
        return await history.page(self._account, conversation_id, before_seq, count)

    async def search(
        self,
        text: str,
        *,
        conversation_id: str = "",
        content_types: tuple[int, ...] = (),
        sender: str = "",
        since: int = 0,
        until: int = 0,
        offset: int = 0,
        count: int = 100,
    ) -> list[Message]:
        """SearchLocalMessages: those whose text holds `text`, in either case; newest first.
        `since`, `until`: Unix ms, 0: no bound."""
        if not text:
            raise InvalidArgument("text: must not be empty")
        return await self._database.read(
            lambda c: messages.search(
                c,
                text,
                conversation_id=conversation_id,
                content_types=content_types,
                sender=sender,
                since=since,
                until=until,
                offset=offset,
                count=count,
            )
        )

    # -- changing ----------------------------------------------------------------------------------

    async def revoke(self, message: Message) -> None:
        """RevokeMessage: for everybody; the event NewRecvMessageRevoked follows.  Raises
        MessageHasNoSeq, NotConnected, ServerRefused."""
        await self._account.calls.revoke(
            self._user, message.conversation_id, await self._seq_of(message)
        )

    async def delete(self, message: Message, *, on_all_devices: bool = True) -> None:
        """DeleteMessage: hide it from this user.  One that was never sent is removed here.  Raises
        MessageHasNoSeq, NotConnected, ServerRefused."""
        if message.status is MessageStatus.FAILED:
            await self.forget_failed(message.client_msg_id)
            return
        seq = await self._seq_of(message)
        name = message.conversation_id
        await self._account.calls.delete(self._user, name, [seq], tell_devices=on_all_devices)
        await self._database.write(lambda c: messages.mark_deleted(c, name, [seq]))
        self._account.showing.changed([name])

    async def _seq_of(self, message: Message) -> int:
        """The server's place of it may have become known meanwhile."""
        if message.seq:
            return message.seq
        now = await self.get(message.client_msg_id)
        if not now.seq:
            raise MessageHasNoSeq(f"{message.client_msg_id}: not known to be stored yet")
        return now.seq
