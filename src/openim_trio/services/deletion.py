"""Revoking and deleting messages.  Rows stay where they are: a slot is never removed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

import attrs

from openim_trio.domain.actors import Actor
from openim_trio.domain.content_types import ContentType
from openim_trio.domain.conversations import SessionType, is_notification
from openim_trio.domain.errors import Code, ServiceError, args_error
from openim_trio.domain.groups import may_remove_message
from openim_trio.domain.rows import Revocation, RowKind, StoredRow
from openim_trio.domain.send_rules import STATUS_DELETED
from openim_trio.services.clock import now_ms
from openim_trio.services.conversation_access import ConversationAccess, View
from openim_trio.services.memberships import Memberships
from openim_trio.services.notifications import Notifications
from openim_trio.services.users import UserService
from openim_trio.store.hidden import Hidden
from openim_trio.store.rows import MongoRows, RowsTooLarge
from openim_trio.wire.proto import sdkws_pb2

MAX_SEQS = 1_000


@attrs.frozen(slots=True)
class Target:
    """Who is told of a change: the other user of a pair, or a group."""

    session_type: int
    send_id: str
    recv_id: str
    group_id: str


class DeletionService:
    def __init__(
        self,
        rows: MongoRows,
        hidden: Hidden,
        access: ConversationAccess,
        memberships: Memberships,
        users: UserService,
        notifications: Notifications,
    ) -> None:
        self._rows = rows
        self._hidden = hidden
        self._access = access
        self._memberships = memberships
        self._users = users
        self._notifications = notifications

    # -- revoke ------------------------------------------------------------------------------------

    async def revoke(
        self, actor: Actor, user_id: str, conversation: str, seq: int, operation_id: str = ""
    ) -> None:
        """Everybody sees from now on that it was revoked (2101, stored).  Raises RECORD_NOT_FOUND,
        NO_PERMISSION, ALREADY_REVOKED."""
        if seq < 1:
            raise args_error("seq", "must be at least 1")
        _check_chat(conversation)
        [(row, message)] = await self._messages(actor, user_id, conversation, [seq])
        if row.revoked is None:
            await self._check_may_remove(actor, user_id, message)
            mark = await self._mark(user_id, message)
            if await self._rows.revoke(conversation, seq, mark):
                await self._tell_revoked(actor, row, message, mark, operation_id)
                return
        elif row.revoked.user_id == user_id:
            # The first attempt may have ended before it could tell anybody; this is told once.
            await self._tell_revoked(actor, row, message, row.revoked, operation_id)
        raise ServiceError(Code.ALREADY_REVOKED, f"seq: {seq} was revoked before")

    async def _mark(self, user_id: str, message: sdkws_pb2.MsgData) -> Revocation:
        role = 0
        if message.sessionType == SessionType.GROUP:
            role = (await self._memberships.members(message.groupID)).roles.get(user_id, 0)
        user = await self._users.find(user_id)
        return Revocation(user_id, role, user.nickname if user else "", now_ms())

    async def _tell_revoked(
        self,
        actor: Actor,
        row: StoredRow,
        message: sdkws_pb2.MsgData,
        mark: Revocation,
        operation_id: str,
    ) -> None:
        tips = sdkws_pb2.RevokeMsgTips(
            revokerUserID=mark.user_id,
            clientMsgID=message.clientMsgID,
            revokeTime=mark.time,
            sesstionType=message.sessionType,
            seq=row.seq,
            conversationID=row.conversation,
            isAdminRevoke=actor.is_admin and mark.user_id != message.sendID,
        )
        target = target_of(message, mark.user_id)
        await self._notifications.notify(
            ContentType.MSG_REVOKE,
            tips,
            send_id=target.send_id,
            recv_id=target.recv_id,
            group_id=target.group_id,
            session_type=target.session_type,
            stored=True,
            client_msg_id=_told_once(row.conversation, row.seq),
            create_time=mark.time,
            operation_id=operation_id,
        )

    # -- delete ------------------------------------------------------------------------------------

    async def delete_msgs(
        self,
        actor: Actor,
        user_id: str,
        conversation: str,
        seqs: Sequence[int],
        *,
        sync_self: bool = False,
        sync_other: bool = False,
        operation_id: str = "",
    ) -> None:
        """Hide messages from the user; with `sync_other` empty them for everybody, which is for
        those who might revoke them.  2102 goes to the user's other devices (`sync_self`) or to all
        concerned (`sync_other`)."""
        _check_seqs(seqs)
        _check_chat(conversation)
        if sync_other:
            found = await self._messages(actor, user_id, conversation, seqs, missing_ok=True)
            for _, message in found:
                await self._check_may_remove(actor, user_id, message)
            if not found:
                return
            await self._rows.erase(conversation, [row.seq for row, _ in found])
            target = target_of(found[0][1], user_id)
        else:
            view = await self._view(actor, user_id, conversation)
            end = await self._end(conversation, view, max(seqs))
            seqs = [seq for seq in seqs if seq <= end]
            await self._hidden.add(user_id, conversation, seqs)
            if not (sync_self and seqs):
                return
            target = Target(SessionType.SINGLE, user_id, user_id, "")
        await self._notifications.notify(
            ContentType.DELETE_MSGS,
            sdkws_pb2.DeleteMsgsTips(userID=user_id, conversationID=conversation, seqs=seqs),
            send_id=target.send_id,
            recv_id=target.recv_id,
            group_id=target.group_id,
            session_type=target.session_type,
            stored=True,
            operation_id=operation_id,
        )

    async def erase(self, conversation: str, seqs: Sequence[int]) -> int:
        """For administrators: empty the bodies in place; how many rows really changed."""
        _check_seqs(seqs)
        return await self._rows.erase(conversation, seqs)

    # -- parts -------------------------------------------------------------------------------------

    async def _view(self, actor: Actor, user_id: str, conversation: str) -> View | None:
        """None: an administrator, who sees everything."""
        found = await self._access.view(user_id, conversation)
        if found is None and not actor.is_admin:
            raise ServiceError(Code.RECORD_NOT_FOUND, f"conversationID: no {conversation}")
        return found

    async def _end(self, conversation: str, view: View | None, wanted: int) -> int:
        """The last seq.  What the sequencer knows may be old: then the rows are asked."""
        if view is not None and wanted <= view.high:
            return view.high
        return await self._rows.head(conversation)

    async def _messages(
        self,
        actor: Actor,
        user_id: str,
        conversation: str,
        seqs: Iterable[int],
        *,
        missing_ok: bool = False,
    ) -> list[tuple[StoredRow, sdkws_pb2.MsgData]]:
        """The messages that may be read there.  Raises RECORD_NOT_FOUND."""
        view = await self._view(actor, user_id, conversation)
        try:
            [rows] = await self._rows.read_seqs([(conversation, list(seqs))])
        except RowsTooLarge:
            raise args_error("seqs", "these messages are too large together") from None
        found = []
        for row in rows:
            message = sdkws_pb2.MsgData.FromString(row.data)
            readable = view is None or actor.is_admin or (
                view.low <= row.seq <= view.high and view.concerns(message)
            )  # fmt: skip
            there = row.kind is RowKind.MESSAGE and message.status != STATUS_DELETED
            if readable and there:
                found.append((row, message))
        if not found and not missing_ok:
            raise ServiceError(Code.RECORD_NOT_FOUND, "seq: no such message")
        return found

    async def _check_may_remove(
        self, actor: Actor, user_id: str, message: sdkws_pb2.MsgData
    ) -> None:
        if actor.is_admin:
            return
        if message.sessionType == SessionType.GROUP:
            members = await self._memberships.members(message.groupID)
            allowed = may_remove_message(members, user_id, message.sendID)
        else:
            allowed = message.sendID == user_id
        if not allowed:
            raise ServiceError(Code.NO_PERMISSION, "userID: may not remove this message")


def target_of(message: sdkws_pb2.MsgData, user_id: str) -> Target:
    """Everybody who has the message: its group, or its pair (told by `user_id` if that is one of
    them)."""
    if message.sessionType == SessionType.GROUP:
        return Target(SessionType.GROUP, user_id, "", message.groupID)
    if user_id == message.recvID:
        return Target(message.sessionType, user_id, message.sendID, "")
    return Target(message.sessionType, message.sendID, message.recvID, "")


def _check_chat(conversation: str) -> None:
    """Notifications stay: their "sender" is only who caused them."""
    if is_notification(conversation):
        raise args_error("conversationID", "is a notification conversation")


def _check_seqs(seqs: Sequence[int]) -> None:
    if not seqs:
        raise args_error("seqs", "is empty")
    if len(seqs) > MAX_SEQS:
        raise args_error("seqs", f"holds more than {MAX_SEQS} items")
    if any(seq < 1 for seq in seqs):
        raise args_error("seqs", "must be positive")


def _told_once(conversation: str, seq: int) -> str:
    text = f"{conversation}\0{seq}".encode()
    return blake2b(text, digest_size=16, person=b"revocation").hexdigest()
