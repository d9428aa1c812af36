"""What users set of their own conversations (1300), and burn after reading, which both ends of a
single chat share (1701)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import attrs

from openim_trio.domain.content_types import ContentType
from openim_trio.domain.conversations import SessionType, conversation_of
from openim_trio.domain.errors import Code, ServiceError, args_error
from openim_trio.domain.records import ConversationRecord
from openim_trio.services.announcer import Announcer
from openim_trio.services.clock import now_ms
from openim_trio.services.control import ALL_WORKERS, ConversationChanged
from openim_trio.services.memberships import Memberships
from openim_trio.services.notifications import Notifications
from openim_trio.services.receive_options import ReceiveOptions
from openim_trio.services.users import UserService
from openim_trio.store.conversations import Conversations
from openim_trio.wire.proto import sdkws_pb2

MAX_OWNERS = 1_000

_Change: TypeAlias = tuple[ConversationRecord, Mapping[str, Any]]
"""a row as it is made where it is missing, and what is to be set in it"""


@attrs.frozen(slots=True)
class Chat:
    """A conversation as its owner names it: `user_id` is the peer, `group_id` for groups."""

    conversation_id: str
    conversation_type: int
    user_id: str = ""
    group_id: str = ""


@attrs.frozen(slots=True)
class Settings:
    """Fields of ConversationRecord; None: stays as it is."""

    recv_msg_opt: int | None = None
    is_pinned: bool | None = None
    attached_info: str | None = None
    is_private_chat: bool | None = None
    ex: str | None = None
    burn_duration: int | None = None
    group_at_type: int | None = None
    msg_destruct_time: int | None = None
    is_msg_destruct: bool | None = None


class ConversationSettings:
    def __init__(
        self,
        conversations: Conversations,
        memberships: Memberships,
        users: UserService,
        receive_options: ReceiveOptions,
        notifications: Notifications,
        announcer: Announcer,
    ) -> None:
        self._conversations = conversations
        self._memberships = memberships
        self._users = users
        self._receive_options = receive_options
        self._notifications = notifications
        self._announcer = announcer

    async def change(
        self, owner_ids: Sequence[str], chat: Chat, settings: Settings, operation_id: str = ""
    ) -> None:
        """Change the owners' rows of a conversation; missing ones are made.  Owners whose row
        changed are told.  `is_private_chat` goes into the peer's row, too, and the peer is told;
        it means nothing in groups.

        Raises ARGS, and NO_PERMISSION for an owner who has no part in the conversation."""
        owners = list(dict.fromkeys(owner_ids))
        if len(owners) > MAX_OWNERS:
            raise args_error("userIDs", f"holds more than {MAX_OWNERS} items")
        for owner in owners:
            _check_named_right(owner, chat)
        await self._check_new_owners(owners, chat)
        changes = {
            name: value for name, value in attrs.asdict(settings).items() if value is not None
        }
        private: bool | None = changes.get("is_private_chat")
        if chat.conversation_type != SessionType.SINGLE:
            private = None
            changes.pop("is_private_chat", None)
        rows = [(_row(owner, chat.user_id, chat), changes) for owner in owners]
        if private is not None and chat.user_id not in owners:
            shared = {"is_private_chat": private}
            rows += [(_row(chat.user_id, owner, chat), shared) for owner in owners]
        changed = await self._write(rows)
        for owner in owners:
            if owner in changed:
                await self._tell_owner(owner, chat, operation_id)
            if private is not None:
                await self._tell_peer(owner, chat, private, operation_id)

    async def _check_new_owners(self, owners: Sequence[str], chat: Chat) -> None:
        """A row opens its conversation to its owner."""
        known = await self._conversations.of_pairs((o, chat.conversation_id) for o in owners)
        new = [owner for owner in owners if (owner, chat.conversation_id) not in known]
        if not new:
            return
        if chat.conversation_type == SessionType.GROUP:
            members = (await self._memberships.members(chat.group_id)).ids
            for owner in new:
                if owner not in members:
                    raise ServiceError(
                        Code.NO_PERMISSION, f"conversation.groupID: {owner} is not a member"
                    )
            return
        users = await self._users.find_many([*new, chat.user_id])
        for owner in new:
            if owner not in users:
                raise args_error("userIDs", f"no user {owner}")
        if chat.user_id not in users:
            raise args_error("conversation.userID", f"no user {chat.user_id}")

    async def _write(self, rows: Sequence[_Change]) -> set[str]:
        """Owners of rows that are new or really changed."""
        inserted = await self._conversations.ensure(
            [attrs.evolve(row, **changes) for row, changes in rows]
        )
        pairs = [(row.owner_user_id, row.conversation_id) for row, _ in rows]
        changed = await self._conversations.change_many(
            [(*pair, changes) for pair, (_, changes) in zip(pairs, rows, strict=True)]
        )
        for owner, name in pairs:
            self._receive_options.drop(owner, name)
        await self._announcer.tell(
            [(ALL_WORKERS, ConversationChanged(owner, name)) for owner, name in pairs]
        )
        return {owner for owner, _ in (*inserted, *changed)}

    async def _tell_owner(self, owner: str, chat: Chat, operation_id: str) -> None:
        await self._notifications.notify(
            ContentType.CONVERSATION_CHANGE,
            sdkws_pb2.ConversationUpdateTips(
                userID=owner, conversationIDList=[chat.conversation_id]
            ),
            send_id=owner,
            recv_id=owner,
            operation_id=operation_id,
        )

    async def _tell_peer(self, owner: str, chat: Chat, private: bool, operation_id: str) -> None:
        await self._notifications.notify(
            ContentType.CONVERSATION_PRIVATE_CHAT,
            sdkws_pb2.ConversationSetPrivateTips(
                recvID=chat.user_id,
                sendID=owner,
                isPrivate=private,
                conversationID=chat.conversation_id,
            ),
            send_id=owner,
            recv_id=chat.user_id,
            send_msg=True,
            operation_id=operation_id,
        )


def _row(owner: str, peer: str, chat: Chat) -> ConversationRecord:
    group = chat.conversation_type == SessionType.GROUP
    return ConversationRecord(
        owner,
        chat.conversation_id,
        chat.conversation_type,
        user_id="" if group else peer,
        group_id=chat.group_id if group else "",
        create_time=now_ms(),
    )


def _check_named_right(owner: str, chat: Chat) -> None:
    """The ids are those of one conversation that the owner may be in."""
    group = chat.conversation_type == SessionType.GROUP
    field = "groupID" if group else "userID"
    if not (chat.group_id if group else chat.user_id):
        raise args_error(f"conversation.{field}", "is required")
    named = conversation_of(
        chat.conversation_type, owner, chat.user_id, chat.group_id, notification=False
    )
    if chat.conversation_id != named:
        raise args_error(
            "conversation.conversationID", f"is not that of {field} and conversationType: {named}"
        )
