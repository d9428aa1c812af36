"""What a notification does to the local database, and what is told of it afterwards."""

from __future__ import annotations

import sqlite3

import attrs
import structlog

from openim_trio.client import notifications
from openim_trio.client.database import conversations, messages
from openim_trio.client.events import (
    Event,
    MsgDeleted,
    NewRecvMessageRevoked,
    RecvC2CReadReceipt,
    RecvCustomBusinessMessage,
)
from openim_trio.client.model import ReadReceipt, Revocation
from openim_trio.domain.conversations import notification_pair, notification_twin
from openim_trio.wire.proto import sdkws_pb2

log = structlog.get_logger()


@attrs.define
class Effects:
    """events            to tell, in order
    *_conversations   IDs
    refresh           the list of conversations changed on the server
    """

    events: list[Event] = attrs.field(factory=list)
    new_conversations: set[str] = attrs.field(factory=set)
    changed_conversations: set[str] = attrs.field(factory=set)
    refresh: bool = False


def apply(
    connection: sqlite3.Connection,
    where: str,
    message: sdkws_pb2.MsgData,
    own_user: str,
    done: Effects,
) -> None:
    """`where`: the conversation that it came in.  Idempotent.  Contents that this SDK does not
    know, or cannot read, do nothing."""
    effect = notifications.parse(message)
    own = notification_pair(own_user, own_user)
    for concerned in _conversations_of(effect):
        if where not in (notification_twin(concerned), own):
            # Servers may let people write into their notification conversations.
            log.warning("notification_about_another_conversation", conversation_id=where)
            return
    match effect:
        case notifications.Revoked() as revoked:
            _revoke(connection, revoked, done)
        case notifications.Deleted(conversation_id=name, seqs=seqs):
            gone = messages.mark_deleted(connection, name, seqs)
            done.events.extend(MsgDeleted(message=message) for message in gone)
            done.changed_conversations.add(name)
        case notifications.HasRead() as read:
            _read(connection, read, own_user, done)
        case notifications.Cleared(conversation_ids=names):
            for name in names:
                conversation = conversations.get(connection, name)
                if conversation is not None:
                    messages.clear(connection, name, conversation.max_seq)
                    conversations.set_read(connection, name, conversation.max_seq)
                    done.changed_conversations.add(name)
        case notifications.ConversationsChanged():
            done.refresh = True
        case notifications.Business(key=key, data=data):
            done.events.append(RecvCustomBusinessMessage(key=key, data=data))


def _conversations_of(effect: notifications.Effect | None) -> tuple[str, ...]:
    match effect:
        case (
            notifications.Revoked(conversation_id=name)
            | notifications.Deleted(conversation_id=name)
            | notifications.HasRead(conversation_id=name)
        ):
            return (name,)
        case notifications.Cleared(conversation_ids=names):
            return names
        case _:
            return ()


def _revoke(connection: sqlite3.Connection, revoked: notifications.Revoked, done: Effects) -> None:
    found = messages.at(connection, revoked.conversation_id, [revoked.seq])
    if not found:
        return  # it comes revoked when it is pulled
    content = notifications.revoked_content(revoked, found[0])
    now = messages.revoke(connection, revoked.conversation_id, revoked.seq, content)
    if now is not None:
        done.events.append(
            NewRecvMessageRevoked(
                revocation=Revocation(
                    message=now,
                    revoker_id=revoked.revoker_id,
                    revoke_time=revoked.revoke_time,
                    is_admin=revoked.is_admin,
                )
            )
        )
        done.changed_conversations.add(revoked.conversation_id)


def _read(
    connection: sqlite3.Connection, read: notifications.HasRead, own_user: str, done: Effects
) -> None:
    if read.user_id == own_user:
        if conversations.set_read(connection, read.conversation_id, read.has_read_seq):
            done.changed_conversations.add(read.conversation_id)
        return
    newly = messages.mark_read(connection, read.conversation_id, read.seqs)
    if newly:
        receipt = ReadReceipt(
            conversation_id=read.conversation_id,
            user_id=read.user_id,
            seqs=tuple(newly),
            read_time=read.time,
        )
        done.events.append(RecvC2CReadReceipt(receipts=(receipt,)))
