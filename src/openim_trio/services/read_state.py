"""How far a user has read, and telling the peer or the user's other devices (2200).

| conversation       | read seq | told                                                |
|--------------------|----------|-----------------------------------------------------|
| single chat        | rises    | the peer, stored; the reader's devices along        |
| single with myself | rises    | the reader's devices, not stored                    |
| group, system      | rises    | the reader's devices, not stored                    |

A message's isRead is not stored: it follows from the receiver's read seq.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from openim_trio.domain.content_types import ContentType
from openim_trio.domain.conversations import SessionType
from openim_trio.domain.errors import Code, ServiceError, args_error
from openim_trio.domain.records import ConversationRecord
from openim_trio.services.notifications import Notifications
from openim_trio.services.ports import HeadReader
from openim_trio.store.conversations import Conversations
from openim_trio.store.rows import MongoRows
from openim_trio.wire.proto import sdkws_pb2

MAX_TOLD = 2_000
"""seqs in one notification, the newest of them"""


class ReadStateService:
    def __init__(
        self,
        conversations: Conversations,
        rows: MongoRows,
        heads: HeadReader,
        notifications: Notifications,
    ) -> None:
        self._conversations = conversations
        self._rows = rows
        self._heads = heads
        self._notifications = notifications

    async def mark_msgs_as_read(
        self, user_id: str, conversation: str, seqs: Sequence[int], operation_id: str = ""
    ) -> None:
        """The last of `seqs` is taken as the read seq.  Raises ARGS if it is beyond the end,
        RECORD_NOT_FOUND without a row."""
        if not seqs:
            raise args_error("seqs", "is empty")
        if any(seq <= 0 for seq in seqs):
            raise args_error("seqs", "must be positive")
        row = await self._row(user_id, conversation)
        await self._check_reached(row, max(seqs), "seqs")
        read = await self._raise(row, seqs[-1])
        await self._tell(row, read, seqs, operation_id)

    async def mark_conversation_as_read(
        self,
        user_id: str,
        conversation: str,
        has_read_seq: int,
        seqs: Sequence[int] = (),
        operation_id: str = "",
    ) -> None:
        """Everything up to `has_read_seq` is read; of a single chat `seqs`, too.  A seq beyond the
        end counts as the end."""
        if has_read_seq < 1:
            raise args_error("hasReadSeq", "must be at least 1")
        row = await self._row(user_id, conversation)
        reached = await self._end(row, max(has_read_seq, *seqs) if seqs else has_read_seq)
        read = await self._raise(row, min(has_read_seq, reached))
        first = max(row.read_seq + 1, read - MAX_TOLD + 1)
        told = set(range(first, read + 1)) | {seq for seq in seqs if 0 < seq <= reached}
        await self._tell(row, read, sorted(told), operation_id)

    async def set_has_read_seq(
        self, user_id: str, conversation: str, has_read_seq: int, operation_id: str = ""
    ) -> None:
        """Raises ARGS if it is not in 1..max; a lower one than before changes nothing.  Tells the
        user's own devices only."""
        if has_read_seq < 1:
            raise args_error("hasReadSeq", "must be at least 1")
        row = await self._row(user_id, conversation)
        await self._check_reached(row, has_read_seq, "hasReadSeq")
        read = await self._raise(row, has_read_seq)
        await self._tell_self(row, read, (), operation_id)

    # -- parts -------------------------------------------------------------------------------------

    async def _row(self, user_id: str, conversation: str) -> ConversationRecord:
        rows = await self._conversations.get_many(user_id, [conversation])
        if not rows:
            raise ServiceError(Code.RECORD_NOT_FOUND, f"conversationID: no {conversation}")
        return rows[0]

    async def _end(self, row: ConversationRecord, wanted: int) -> int:
        """The last seq.  What the sequencer knows may be old, the rows are asked before a client
        is told that it knows too much."""
        name = row.conversation_id
        heads = await self._heads.heads([name])
        end = heads[name].seq if name in heads else 0
        if wanted > end:
            end = max(end, await self._rows.head(name))
        return min(end, row.max_seq) if row.max_seq else end

    async def _check_reached(self, row: ConversationRecord, seq: int, field: str) -> None:
        if seq > await self._end(row, seq):
            raise args_error(field, "is beyond the last message")

    async def _raise(self, row: ConversationRecord, seq: int) -> int:
        """The read seq from now on."""
        if seq > row.read_seq:
            await self._conversations.raise_read_seqs(
                [(row.owner_user_id, row.conversation_id, seq)]
            )
        return max(seq, row.read_seq)

    async def _tell(
        self, row: ConversationRecord, read: int, seqs: Sequence[int], operation_id: str
    ) -> None:
        to_peer = row.conversation_type == SessionType.SINGLE and row.user_id != row.owner_user_id
        if not to_peer:
            await self._tell_self(row, read, seqs, operation_id)
        elif seqs:
            newest = sorted(seqs)[-MAX_TOLD:]
            await self._notifications.notify(
                ContentType.HAS_READ_RECEIPT,
                _tips(row, read, newest),
                send_id=row.owner_user_id,
                recv_id=row.user_id,
                stored=True,
                client_msg_id=_receipt_id(row, read, newest),
                operation_id=operation_id,
            )

    async def _tell_self(
        self, row: ConversationRecord, read: int, seqs: Sequence[int], operation_id: str
    ) -> None:
        single = row.conversation_type == SessionType.SINGLE
        await self._notifications.notify(
            ContentType.HAS_READ_RECEIPT,
            _tips(row, read, list(seqs)[-MAX_TOLD:] or ([read] if single else [])),
            send_id=row.owner_user_id,
            recv_id=row.owner_user_id,
            operation_id=operation_id,
        )


def _tips(row: ConversationRecord, read: int, seqs: Sequence[int]) -> sdkws_pb2.MarkAsReadTips:
    return sdkws_pb2.MarkAsReadTips(
        markAsReadUserID=row.owner_user_id,
        conversationID=row.conversation_id,
        seqs=seqs,
        hasReadSeq=read,
    )


def _receipt_id(row: ConversationRecord, read: int, seqs: Sequence[int]) -> str:
    """The same for the same receipt: a repeated call does not tell the peer twice."""
    text = f"{row.owner_user_id}\0{row.conversation_id}\0{read}\0{seqs}"
    return blake2b(text.encode(), digest_size=16, person=b"read receipt").hexdigest()
