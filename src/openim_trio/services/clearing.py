"""Clearing conversations: what lies before is shown no more, to one user or to everybody."""

from __future__ import annotations

from collections.abc import Sequence

from openim_trio.domain.actors import Actor
from openim_trio.domain.content_types import ContentType
from openim_trio.domain.conversations import SessionType
from openim_trio.domain.errors import Code, ServiceError, args_error
from openim_trio.domain.records import ConversationRecord
from openim_trio.services.memberships import Memberships
from openim_trio.services.notifications import Notifications
from openim_trio.services.ports import HeadReader
from openim_trio.store.bounds import Bounds
from openim_trio.store.conversations import Conversations
from openim_trio.store.rows import MongoRows
from openim_trio.wire.proto import sdkws_pb2

MAX_CONVERSATIONS = 1_000
ERASED_AT_ONCE = 500


class ClearingService:
    def __init__(
        self,
        conversations: Conversations,
        bounds: Bounds,
        rows: MongoRows,
        heads: HeadReader,
        memberships: Memberships,
        notifications: Notifications,
    ) -> None:
        self._conversations = conversations
        self._bounds = bounds
        self._rows = rows
        self._heads = heads
        self._memberships = memberships
        self._notifications = notifications

    async def clear(
        self,
        actor: Actor,
        user_id: str,
        conversation_ids: Sequence[str],
        *,
        sync_self: bool = False,
        sync_other: bool = False,
        operation_id: str = "",
    ) -> None:
        """The user's min seq goes behind the last message (1300); with `sync_other` that of the
        whole conversation, for everybody.  1703 goes to the user's other devices (`sync_self`) or
        to the peer or group (`sync_other`).  A group is cleared for all by its owner or admins."""
        if len(conversation_ids) > MAX_CONVERSATIONS:
            raise args_error("conversationIDs", f"holds more than {MAX_CONVERSATIONS} items")
        rows = await self._conversations.get_many(user_id, conversation_ids)
        await self._clear(actor, user_id, rows, sync_self, sync_other, operation_id)

    async def clear_all(
        self,
        actor: Actor,
        user_id: str,
        *,
        sync_self: bool = False,
        sync_other: bool = False,
        operation_id: str = "",
    ) -> None:
        rows = await self._conversations.of_owner(user_id)
        await self._clear(actor, user_id, rows, sync_self, sync_other, operation_id)

    async def _clear(
        self,
        actor: Actor,
        user_id: str,
        rows: Sequence[ConversationRecord],
        sync_self: bool,
        sync_other: bool,
        operation_id: str,
    ) -> None:
        if not rows:
            return
        names = [row.conversation_id for row in rows]
        if sync_other:
            for row in rows:
                await self._check_may_clear(actor, user_id, row)
        heads = await self._heads.heads(names)
        ends = {row.conversation_id: row.max_seq or heads[row.conversation_id].seq for row in rows}
        if sync_other:
            for row in rows:
                name = row.conversation_id
                await self._bounds.raise_min_seq(name, ends[name] + 1)
                await self._tell_others(row, operation_id)
            return
        await self._conversations.set_min_seq(
            user_id, {name: end + 1 for name, end in ends.items()}, ends
        )
        await self._notifications.notify(
            ContentType.CONVERSATION_CHANGE,
            sdkws_pb2.ConversationUpdateTips(userID=user_id, conversationIDList=names),
            send_id=user_id,
            recv_id=user_id,
            operation_id=operation_id,
        )
        if sync_self:
            await self._notifications.notify(
                ContentType.CLEAR_CONVERSATION,
                sdkws_pb2.ClearConversationTips(userID=user_id, conversationIDs=names),
                send_id=user_id,
                recv_id=user_id,
                operation_id=operation_id,
            )

    async def _check_may_clear(self, actor: Actor, user_id: str, row: ConversationRecord) -> None:
        if actor.is_admin or row.conversation_type != SessionType.GROUP:
            return
        if not (await self._memberships.members(row.group_id)).leads(user_id):
            raise ServiceError(
                Code.NO_PERMISSION, f"deleteSyncOpt.IsSyncOther: not for {row.conversation_id}"
            )

    async def _tell_others(self, row: ConversationRecord, operation_id: str) -> None:
        group = row.conversation_type == SessionType.GROUP
        await self._notifications.notify(
            ContentType.CLEAR_CONVERSATION,
            sdkws_pb2.ClearConversationTips(
                userID=row.owner_user_id, conversationIDs=[row.conversation_id]
            ),
            send_id=row.owner_user_id,
            recv_id="" if group else row.user_id,
            group_id=row.group_id if group else "",
            session_type=SessionType.GROUP if group else SessionType.SINGLE,
            operation_id=operation_id,
        )

    async def erase_before(self, conversation_ids: Sequence[str], before_ms: int) -> int:
        """For administrators: messages sent before a time (Unix ms) are shown to nobody any more
        and their bodies are emptied in place; how many rows changed."""
        if len(conversation_ids) > MAX_CONVERSATIONS:
            raise args_error("conversationIDs", f"holds more than {MAX_CONVERSATIONS} items")
        erased = 0
        lows = await self._bounds.min_seqs(conversation_ids)
        heads = await self._heads.heads(conversation_ids)
        for name in conversation_ids:
            low = max(lows.get(name, 1), 1)
            first_kept = await self._first_since(name, before_ms, low, heads[name].seq)
            if first_kept <= low:
                continue
            await self._bounds.raise_min_seq(name, first_kept)
            for start in range(low, first_kept, ERASED_AT_ONCE):
                seqs = range(start, min(start + ERASED_AT_ONCE, first_kept))
                erased += await self._rows.erase(name, seqs)
        return erased

    async def _first_since(self, name: str, time_ms: int, low: int, high: int) -> int:
        """The first seq of low..high sent at `time_ms` or later, high+1 if there is none."""
        while low <= high:
            middle = (low + high) // 2
            [rows] = await self._rows.read_seqs([(name, [middle])])
            sent = sdkws_pb2.MsgData.FromString(rows[0].data).sendTime if rows else 0
            if sent < time_ms:
                low = middle + 1
            else:
                high = middle - 1
        return low
