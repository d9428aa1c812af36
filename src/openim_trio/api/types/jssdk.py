"""Bodies of /jssdk."""

from __future__ import annotations

from typing import Annotated

import attrs

from openim_trio.api.marks import AnyID, Int32, Int64, Note
from openim_trio.api.types.conversations import Conversation, ConversationIDs
from openim_trio.api.types.groups import GroupInfo
from openim_trio.api.types.messages import MsgData
from openim_trio.api.types.users import UserInfo

Ignored = Annotated[AnyID, Note("Ignored: it is always the caller.")]


@attrs.frozen(kw_only=True)
class FriendInfoOnly:
    ownerUserID: str
    friendUserID: str
    remark: str
    createTime: Int64
    addSource: Int32
    operatorUserID: str
    ex: str
    isPinned: bool


@attrs.frozen(kw_only=True)
class ConversationMsg:
    conversation: Conversation | None
    lastMsg: MsgData | None
    user: UserInfo | None
    friend: FriendInfoOnly | None
    group: GroupInfo | None
    maxSeq: Int64
    readSeq: Int64


@attrs.frozen(kw_only=True)
class GetJSConversationsReq:
    ownerUserID: Ignored = ""
    conversationIDs: ConversationIDs


@attrs.frozen(kw_only=True)
class GetActiveConversationsReq:
    ownerUserID: Ignored = ""
    count: Annotated[Int64, Note("Below 1 or above 500: 100.")] = 0


@attrs.frozen(kw_only=True)
class JSConversationsResp:
    unreadCount: Annotated[Int64, Note("Of all conversations.")]
    conversations: list[ConversationMsg]
