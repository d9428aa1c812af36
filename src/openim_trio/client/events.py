"""What a client tells: each event, and the listener's method that gets it.

`Listener` has a method for each; the methods do nothing until they are overridden, and may be
`async`.  Names are OpenIM's in Python's spelling.
"""

from __future__ import annotations

from typing import ClassVar

import attrs

from openim_trio.client.errors import ClientError
from openim_trio.client.model import Conversation, Message, ReadReceipt, Revocation


@attrs.frozen(kw_only=True)
class Event:
    """`callback`: the listener's method."""

    callback: ClassVar[str] = ""


# -- connection ------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Connecting(Event):
    """Before each attempt, reconnects included."""

    callback = "on_connecting"


@attrs.frozen(kw_only=True)
class ConnectSuccess(Event):
    callback = "on_connect_success"


@attrs.frozen(kw_only=True)
class ConnectFailed(Event):
    """It will be tried again after `retry_in` seconds."""

    callback = "on_connect_failed"
    error: ClientError
    retry_in: float


@attrs.frozen(kw_only=True)
class KickedOffline(Event):
    """Another login displaced this one, or an administrator ended it.  No reconnect."""

    callback = "on_kicked_offline"


@attrs.frozen(kw_only=True)
class UserTokenExpired(Event):
    """Log in again with a new token.  No reconnect."""

    callback = "on_user_token_expired"


@attrs.frozen(kw_only=True)
class UserTokenInvalid(Event):
    """The server does not take the token (`error.code` 1502 to 1507).  No reconnect."""

    callback = "on_user_token_invalid"
    error: ClientError


# -- sync ------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class SyncServerStart(Event):
    """`reinstalled`: nothing was known locally."""

    callback = "on_sync_server_start"
    reinstalled: bool


@attrs.frozen(kw_only=True)
class SyncServerProgress(Event):
    """`done` of `total` messages that were missing at the start."""

    callback = "on_sync_server_progress"
    done: int
    total: int


@attrs.frozen(kw_only=True)
class SyncServerFinish(Event):
    callback = "on_sync_server_finish"
    reinstalled: bool


@attrs.frozen(kw_only=True)
class SyncServerFailed(Event):
    """It goes on at the next connection, or when the trouble is over."""

    callback = "on_sync_server_failed"
    error: ClientError


# -- conversations ---------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class NewConversation(Event):
    callback = "on_new_conversation"
    conversations: tuple[Conversation, ...]


@attrs.frozen(kw_only=True)
class ConversationChanged(Event):
    callback = "on_conversation_changed"
    conversations: tuple[Conversation, ...]


@attrs.frozen(kw_only=True)
class TotalUnreadChanged(Event):
    callback = "on_total_unread_message_count_changed"
    count: int


# -- messages --------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class RecvNewMessage(Event):
    """A message from somebody else, or one's own from another device; each once, in the order of
    the conversation.  `message.offline`: it was missed and came by a sync."""

    callback = "on_recv_new_message"
    message: Message


@attrs.frozen(kw_only=True)
class RecvOnlineOnlyMessage(Event):
    """Not stored anywhere (typing, for instance)."""

    callback = "on_recv_online_only_message"
    message: Message


@attrs.frozen(kw_only=True)
class MessagesRecovered(Event):
    """Messages that were being shown when the process died: each was shown once or not at all.
    They are not shown again."""

    callback = "on_messages_recovered"
    messages: tuple[Message, ...]


@attrs.frozen(kw_only=True)
class NewRecvMessageRevoked(Event):
    callback = "on_new_recv_message_revoked"
    revocation: Revocation


@attrs.frozen(kw_only=True)
class MsgDeleted(Event):
    callback = "on_msg_deleted"
    message: Message


@attrs.frozen(kw_only=True)
class RecvC2CReadReceipt(Event):
    callback = "on_recv_c2c_read_receipt"
    receipts: tuple[ReadReceipt, ...]


@attrs.frozen(kw_only=True)
class MessageSent(Event):
    """OnSuccess of a send: stored, exactly once.  `message.send_time` is the server's.  After a
    crash it may be told twice."""

    callback = "on_message_sent"
    message: Message


@attrs.frozen(kw_only=True)
class MessageFailed(Event):
    """OnError of a send: it never was and never will be delivered."""

    callback = "on_message_failed"
    message: Message
    error: ClientError


@attrs.frozen(kw_only=True)
class MessageUnknown(Event):
    """The deadline passed; the server is asked for the definite end, which comes as `MessageSent`
    or `MessageFailed`."""

    callback = "on_message_unknown"
    message: Message


@attrs.frozen(kw_only=True)
class RecvCustomBusinessMessage(Event):
    """Content 2001: `data` is the application's own JSON text, `key` its kind."""

    callback = "on_recv_custom_business_message"
    key: str
    data: str


# -- local -----------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class LocalDatabaseFailed(Event):
    """Nothing that comes can be stored now, so nothing is taken; it is tried again after `retry_in`
    seconds.  `error` says what to do."""

    callback = "on_local_database_failed"
    error: ClientError
    retry_in: float


class Listener:
    """Override what you want to hear.  Methods are called one after the other, in the order of the
    events; a method may be `async`.  One that raises is logged, and counts as called."""

    def on_connecting(self, event: Connecting) -> object: ...
    def on_connect_success(self, event: ConnectSuccess) -> object: ...
    def on_connect_failed(self, event: ConnectFailed) -> object: ...
    def on_kicked_offline(self, event: KickedOffline) -> object: ...
    def on_user_token_expired(self, event: UserTokenExpired) -> object: ...
    def on_user_token_invalid(self, event: UserTokenInvalid) -> object: ...
    def on_sync_server_start(self, event: SyncServerStart) -> object: ...
    def on_sync_server_progress(self, event: SyncServerProgress) -> object: ...
    def on_sync_server_finish(self, event: SyncServerFinish) -> object: ...
    def on_sync_server_failed(self, event: SyncServerFailed) -> object: ...
    def on_new_conversation(self, event: NewConversation) -> object: ...
    def on_conversation_changed(self, event: ConversationChanged) -> object: ...
    def on_total_unread_message_count_changed(self, event: TotalUnreadChanged) -> object: ...
    def on_recv_new_message(self, event: RecvNewMessage) -> object: ...
    def on_recv_online_only_message(self, event: RecvOnlineOnlyMessage) -> object: ...
    def on_messages_recovered(self, event: MessagesRecovered) -> object: ...
    def on_new_recv_message_revoked(self, event: NewRecvMessageRevoked) -> object: ...
    def on_msg_deleted(self, event: MsgDeleted) -> object: ...
    def on_recv_c2c_read_receipt(self, event: RecvC2CReadReceipt) -> object: ...
    def on_message_sent(self, event: MessageSent) -> object: ...
    def on_message_failed(self, event: MessageFailed) -> object: ...
    def on_message_unknown(self, event: MessageUnknown) -> object: ...
    def on_recv_custom_business_message(self, event: RecvCustomBusinessMessage) -> object: ...
    def on_local_database_failed(self, event: LocalDatabaseFailed) -> object: ...
