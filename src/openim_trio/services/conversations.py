"""A user's list of conversations, as clients sync it, and as the JavaScript SDK asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from openim_trio.append.ports import Head
from openim_trio.domain.conversations import SessionType
from openim_trio.domain.errors import Code, ServiceError
from openim_trio.domain.records import ConversationRecord
from openim_trio.domain.send_rules import RECEIVE_SILENTLY
from openim_trio.services.conversation_access import NOTHING
from openim_trio.services.groups import GroupService
from openim_trio.services.own_reads import OwnReads
from openim_trio.services.ports import HeadReader
from openim_trio.services.pulls import PullService
from openim_trio.services.users import UserService
from openim_trio.services.versioned import Changes, FullIds, changes, full_ids, page_of
from openim_trio.store.conversations import Conversations
from openim_trio.store.versions import Versions
from openim_trio.wire.proto import conversation_pb2, jssdk_pb2

DEFAULT_ACTIVE = 100
MAX_ACTIVE = 500


class ConversationService:
    def __init__(
        self,
        conversations: Conversations,
        own_reads: OwnReads,
        versions: Versions,
        pulls: PullService,
        heads: HeadReader,
        users: UserService,
        groups: GroupService,
    ) -> None:
        self._conversations = conversations
        self._own_reads = own_reads
        self._versions = versions
        self._pulls = pulls
        self._heads = heads
        self._users = users
        self._groups = groups

    # -- lists -------------------------------------------------------------------------------------

    async def all_of(self, owner: str) -> list[conversation_pb2.Conversation]:
        return [as_proto(row) for row in await self._conversations.of_owner(owner)]

    async def one(self, owner: str, conversation_id: str) -> conversation_pb2.Conversation:
        """Raises RECORD_NOT_FOUND."""
        rows = await self._conversations.get_many(owner, [conversation_id])
        if not rows:
            raise ServiceError(Code.RECORD_NOT_FOUND, f"conversationID: no {conversation_id}")
        return as_proto(rows[0])

    async def some(
        self, owner: str, conversation_ids: Sequence[str]
    ) -> list[conversation_pb2.Conversation]:
        """Those that exist."""
        rows = await self._conversations.get_many(owner, conversation_ids)
        return [as_proto(row) for row in rows]

    async def page(
        self, owner: str, page_number: int, show_number: int
    ) -> tuple[int, list[conversation_pb2.Conversation]]:
        rows = await self._conversations.of_owner(owner)
        return len(rows), [as_proto(row) for row in page_of(rows, page_number, show_number)]

    async def not_notify_ids(self, owner: str) -> list[str]:
        """Those whose messages are received silently."""
        rows = await self._conversations.of_owner(owner)
        return [row.conversation_id for row in rows if row.recv_msg_opt == RECEIVE_SILENTLY]

    async def pinned_ids(self, owner: str) -> list[str]:
        rows = await self._conversations.of_owner(owner)
        return [row.conversation_id for row in rows if row.is_pinned]

    # -- incremental -------------------------------------------------------------------------------

    async def incremental(
        self, owner: str, version_id: str, version: int
    ) -> Changes[conversation_pb2.Conversation]:
        delta = await self._versions.delta("conversation", owner, version_id, version)
        rows = await self._conversations.get_many(owner, [*delta.inserted, *delta.updated])
        return changes(delta, {row.conversation_id: as_proto(row) for row in rows})

    async def full_ids(self, owner: str, client_hash: int) -> FullIds:
        current = await self._versions.current("conversation", owner)
        rows = await self._conversations.of_owner(owner)
        return full_ids(current, [row.conversation_id for row in rows], client_hash)

    # -- for the JavaScript SDK --------------------------------------------------------------------

    async def active(self, owner: str, count: int) -> jssdk_pb2.GetActiveConversationsResp:
        """Conversations with messages, each with its last one: pinned first, then the newest."""
        wanted = count if 0 < count <= MAX_ACTIVE else DEFAULT_ACTIVE
        rows = await self._own_reads.fresh(owner, await self._conversations.of_owner(owner))
        heads = await self._heads.heads([row.conversation_id for row in rows])
        used = [row for row in rows if heads.get(row.conversation_id, NOTHING).seq]
        used.sort(key=lambda row: (not row.is_pinned, -heads[row.conversation_id].send_time))
        return jssdk_pb2.GetActiveConversationsResp(
            unreadCount=_unread(rows, heads),
            conversations=await self._with_messages(owner, used[:wanted], heads),
        )

    async def with_last_messages(
        self, owner: str, conversation_ids: Sequence[str]
    ) -> jssdk_pb2.GetConversationsResp:
        """The listed ones that exist."""
        rows = await self._own_reads.fresh(owner, await self._conversations.of_owner(owner))
        heads = await self._heads.heads([row.conversation_id for row in rows])
        by_id = {row.conversation_id: row for row in rows}
        wanted = [by_id[i] for i in dict.fromkeys(conversation_ids) if i in by_id]
        return jssdk_pb2.GetConversationsResp(
            unreadCount=_unread(rows, heads),
            conversations=await self._with_messages(owner, wanted, heads),
        )

    async def _with_messages(
        self, owner: str, rows: Sequence[ConversationRecord], heads: Mapping[str, Head]
    ) -> list[jssdk_pb2.ConversationMsg]:
        if not rows:
            return []
        last = await self._pulls.newest(owner, [row.conversation_id for row in rows])
        peers = await self._users.infos([row.user_id for row in rows if row.user_id])
        users = {info.userID: info for info in peers}
        group_ids = [r.group_id for r in rows if r.conversation_type == SessionType.GROUP]
        infos = await self._groups.infos(group_ids) if group_ids else []
        groups = {info.groupID: info for info in infos}
        return [
            jssdk_pb2.ConversationMsg(
                conversation=as_proto(row),
                lastMsg=last.get(row.conversation_id),
                user=users.get(row.user_id),
                group=groups.get(row.group_id),
                maxSeq=_end(row, heads),
                readSeq=min(row.read_seq, _end(row, heads)),
            )
            for row in rows
        ]


def _end(row: ConversationRecord, heads: Mapping[str, Head]) -> int:
    return row.max_seq or heads.get(row.conversation_id, NOTHING).seq


def _unread(rows: Sequence[ConversationRecord], heads: Mapping[str, Head]) -> int:
    return sum(max(_end(row, heads) - row.read_seq, 0) for row in rows)


def as_proto(row: ConversationRecord) -> conversation_pb2.Conversation:
    return conversation_pb2.Conversation(
        ownerUserID=row.owner_user_id,
        conversationID=row.conversation_id,
        recvMsgOpt=row.recv_msg_opt,
        conversationType=row.conversation_type,
        userID=row.user_id,
        groupID=row.group_id,
        isPinned=row.is_pinned,
        attachedInfo=row.attached_info,
        isPrivateChat=row.is_private_chat,
        groupAtType=row.group_at_type,
        ex=row.ex,
        burnDuration=row.burn_duration,
        minSeq=row.min_seq,
        maxSeq=row.max_seq,
        msgDestructTime=row.msg_destruct_time,
        latestMsgDestructTime=row.latest_msg_destruct_time,
        isMsgDestruct=row.is_msg_destruct,
    )
