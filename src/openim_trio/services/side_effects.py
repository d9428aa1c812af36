"""What goes along with stored messages, before they become visible.

- the conversation rows of those who take part, with the first message of a conversation;
- the sender's own read seq;
- mention marks in groups, and the word to the mentioned (1300).

One round trip each for a whole batch, the first and the last only where there is something to do.
Everything may be repeated.  Notification conversations (`n_`) have no rows and no read seqs.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence

import attrs
import structlog

from openim_trio.append.ports import SequencerUnavailable
from openim_trio.domain.content_types import AT_ALL_TAG, ContentType
from openim_trio.domain.conversations import SessionType, is_notification
from openim_trio.domain.notifications import Delivery, detail_content, system_message
from openim_trio.domain.records import ConversationRecord
from openim_trio.domain.rows import Row, RowKind
from openim_trio.services.caches import Cache
from openim_trio.services.clock import now_ms
from openim_trio.services.memberships import Memberships
from openim_trio.services.online_push import OnlinePush, Unstored
from openim_trio.services.own_reads import OwnReads
from openim_trio.store.conversations import Conversations
from openim_trio.wire.proto import sdkws_pb2

KNOWN_CONVERSATIONS = 200_000
KNOWN_SECONDS = 86_400.0
ROWS_AT_ONCE = 1_000
MAX_MARKED = 1_000
"""members marked for one message; official clients mark themselves from the message, too"""

AT_ME, AT_ALL, AT_ALL_AND_ME = 1, 2, 3

_log = structlog.get_logger()


@attrs.frozen(slots=True)
class _Mention:
    conversation: str
    group_id: str
    sender: str
    user_ids: tuple[str, ...]


@attrs.define(slots=True)
class _Plan:
    """first: conversation -> a message of it, where rows may be missing."""

    first: dict[str, sdkws_pb2.MsgData] = attrs.field(factory=dict)
    read: dict[tuple[str, str], int] = attrs.field(factory=dict)
    mentions: list[_Mention] = attrs.field(factory=list)


class MessageSideEffects:
    """Implements `append.requests.SideEffects`."""

    def __init__(
        self,
        conversations: Conversations,
        memberships: Memberships,
        push: OnlinePush,
        own_reads: OwnReads,
    ) -> None:
        self._conversations = conversations
        self.memberships = memberships
        self.own_reads = own_reads
        self._push = push
        self._known: Cache[str, bool] = Cache(KNOWN_CONVERSATIONS, KNOWN_SECONDS)

    async def apply(self, rows: Sequence[Row]) -> None:
        plan = self._plan(rows)
        if plan.first:
            await self._ensure_rows(plan.first)
        if plan.read:
            await self.own_reads.raise_many(plan.read)
        if plan.mentions:
            await self._mark_mentions(plan.mentions)

    def _plan(self, rows: Iterable[Row]) -> _Plan:
        plan = _Plan()
        for row in rows:
            conversation = row.conversation
            if is_notification(conversation):
                continue
            message = sdkws_pb2.MsgData.FromString(row.data)
            if self._known.get(conversation) is None:
                plan.first[conversation] = message
            if row.kind is RowKind.TOMBSTONE:
                continue
            reader = (message.sendID, conversation)
            plan.read[reader] = max(row.seq, plan.read.get(reader, 0))
            if message.contentType == ContentType.AT_TEXT and message.atUserIDList:
                plan.mentions.append(
                    _Mention(
                        conversation, message.groupID, message.sendID, tuple(message.atUserIDList)
                    )
                )
        return plan

    # -- conversation rows -------------------------------------------------------------------------

    async def _ensure_rows(self, first: dict[str, sdkws_pb2.MsgData]) -> None:
        epoch = self._known.epoch
        now = now_ms()
        records: list[ConversationRecord] = []
        for conversation, message in first.items():
            if message.sessionType == SessionType.GROUP:
                records.extend(await self._of_group(conversation, message.groupID, now))
            else:
                records.extend(_of_pair(conversation, message, now))
        for start in range(0, len(records), ROWS_AT_ONCE):
            await self._conversations.ensure(records[start : start + ROWS_AT_ONCE])
        for conversation in first:
            self._known.put(conversation, True, epoch)

    async def _of_group(
        self, conversation: str, group_id: str, now: int
    ) -> Iterator[ConversationRecord]:
        members = (await self.memberships.members(group_id)).ids
        if len(members) > ROWS_AT_ONCE:
            members = members.difference(await self._conversations.owners_of(conversation))
        return (
            ConversationRecord(
                owner, conversation, SessionType.GROUP, group_id=group_id, create_time=now
            )
            for owner in sorted(members)
        )

    def forget(self, conversation: str) -> None:
        """A row of it was deleted: the next message makes it anew."""
        self._known.drop([conversation])

    def forget_all(self) -> None:
        self._known.clear()

    # -- mentions ----------------------------------------------------------------------------------

    async def _mark_mentions(self, mentions: Sequence[_Mention]) -> None:
        marks: dict[tuple[str, str], int] = {}
        for mention in mentions:
            for user_id, mark in (await self._marks(mention)).items():
                marks[user_id, mention.conversation] = mark
        changed = await self._conversations.change_many(
            [(owner, name, {"group_at_type": mark}) for (owner, name), mark in marks.items()]
        )
        if not changed:
            return
        try:
            await self._push.push_all([_word_to(owner, name) for owner, name in changed])
        except SequencerUnavailable as error:
            _log.warning("mention_words_lost", count=len(changed), reason=str(error))

    async def _marks(self, mention: _Mention) -> dict[str, int]:
        """User ID -> groupAtType."""
        members = (await self.memberships.members(mention.group_id)).ids
        named = {u for u in mention.user_ids if u in members and u != mention.sender}
        if AT_ALL_TAG not in mention.user_ids:
            return dict.fromkeys(named, AT_ME)
        if len(members) > MAX_MARKED:
            return dict.fromkeys(named, AT_ALL_AND_ME)
        everybody = dict.fromkeys(members - {mention.sender}, AT_ALL)
        return {**everybody, **dict.fromkeys(named, AT_ALL_AND_ME)}


def _of_pair(
    conversation: str, message: sdkws_pb2.MsgData, now: int
) -> Iterator[ConversationRecord]:
    """Both users of a single chat; of a system session the receiver only."""
    sender, receiver = message.sendID, message.recvID
    owners = {receiver: sender}
    if message.sessionType == SessionType.SINGLE:
        owners[sender] = receiver
    for owner, peer in owners.items():
        yield ConversationRecord(
            owner, conversation, message.sessionType, user_id=peer, create_time=now
        )


def _word_to(user_id: str, conversation: str) -> Unstored:
    tips = sdkws_pb2.ConversationUpdateTips(userID=user_id, conversationIDList=[conversation])
    message = system_message(
        ContentType.CONVERSATION_CHANGE,
        detail_content(tips),
        send_id=user_id,
        recv_id=user_id,
        group_id="",
        session_type=SessionType.SINGLE,
        client_msg_id=secrets.token_hex(16),
        create_time=now_ms(),
        delivery=Delivery(),
    )
    message.sendTime = message.createTime
    return Unstored(message)
