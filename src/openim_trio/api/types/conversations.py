"""Bodies of /conversation."""

from __future__ import annotations

from typing import Annotated

import attrs

from openim_trio.api.marks import (
    FILLED,
    ID,
    REQUIRED,
    AnyID,
    AtLeast,
    Int32,
    Int64,
    MaxItems,
    MaxLength,
    Note,
    OneOf,
    UInt64,
)
from openim_trio.api.types.paging import IDHash, RequestPagination, Version, VersionID
from openim_trio.api.types.users import MAX_IDS
from openim_trio.services.conversation_settings import MAX_OWNERS

MAX_TEXT = 16_384
"""characters of attachedInfo and ex"""
ConversationIDs = Annotated[list[AnyID], REQUIRED, FILLED, MaxItems(MAX_IDS)]


@attrs.frozen(kw_only=True)
class Conversation:
    ownerUserID: AnyID = ""
    conversationID: AnyID = ""
    recvMsgOpt: Annotated[Int32, Note("0 notify, 1 do not receive, 2 receive silently.")] = 0
    conversationType: Int32 = 0
    userID: AnyID = ""
    groupID: AnyID = ""
    isPinned: bool = False
    attachedInfo: str = ""
    isPrivateChat: bool = False
    groupAtType: Int32 = 0
    ex: str = ""
    burnDuration: Int32 = 0
    minSeq: Int64 = 0
    maxSeq: Int64 = 0
    msgDestructTime: Int64 = 0
    latestMsgDestructTime: Int64 = 0
    isMsgDestruct: bool = False


@attrs.frozen(kw_only=True)
class GetAllConversationsReq:
    ownerUserID: ID


@attrs.frozen(kw_only=True)
class GetAllConversationsResp:
    conversations: list[Conversation]


@attrs.frozen(kw_only=True)
class GetConversationReq:
    conversationID: ID
    ownerUserID: ID


@attrs.frozen(kw_only=True)
class GetConversationResp:
    conversation: Conversation


@attrs.frozen(kw_only=True)
class GetConversationsReq:
    ownerUserID: ID
    conversationIDs: ConversationIDs


@attrs.frozen(kw_only=True)
class GetConversationsResp:
    conversations: list[Conversation]


@attrs.frozen(kw_only=True)
class ConversationReq:
    """What is null or absent stays as it is; isPrivateChat is for single chats, of both users."""

    conversationID: ID
    conversationType: Annotated[Int32, REQUIRED, OneOf(1, 3, 4)]
    userID: Annotated[AnyID, Note("The other user, for types 1 and 4.")] = ""
    groupID: Annotated[AnyID, Note("For type 3.")] = ""
    recvMsgOpt: Annotated[Int32, OneOf(0, 1, 2)] | None = None
    isPinned: bool | None = None
    attachedInfo: Annotated[str, MaxLength(MAX_TEXT)] | None = None
    isPrivateChat: bool | None = None
    ex: Annotated[str, MaxLength(MAX_TEXT)] | None = None
    burnDuration: Annotated[Int32, AtLeast(0)] | None = None
    groupAtType: Annotated[Int32, OneOf(0, 1, 2, 3, 4)] | None = None
    msgDestructTime: Annotated[Int64, AtLeast(0)] | None = None
    isMsgDestruct: bool | None = None


@attrs.frozen(kw_only=True)
class SetConversationsReq:
    userIDs: Annotated[list[AnyID], REQUIRED, FILLED, MaxItems(MAX_OWNERS)]
    conversation: Annotated[ConversationReq, REQUIRED]


@attrs.frozen(kw_only=True)
class GetFullOwnerConversationIDsReq:
    idHash: IDHash = 0
    userID: AnyID = ""


@attrs.frozen(kw_only=True)
class GetFullOwnerConversationIDsResp:
    version: UInt64
    versionID: str
    equal: bool
    conversationIDs: list[str]


@attrs.frozen(kw_only=True)
class GetIncrementalConversationReq:
    userID: AnyID = ""
    versionID: VersionID = ""
    version: Version = 0


@attrs.frozen(kw_only=True)
class GetIncrementalConversationResp:
    version: UInt64
    versionID: str
    full: bool
    delete: list[str]
    insert: list[Conversation]
    update: list[Conversation]


@attrs.frozen(kw_only=True)
class GetOwnerConversationReq:
    userID: AnyID = ""
    pagination: Annotated[RequestPagination, REQUIRED]


@attrs.frozen(kw_only=True)
class GetOwnerConversationResp:
    total: Int64
    conversations: list[Conversation]


@attrs.frozen(kw_only=True)
class GetNotNotifyConversationIDsReq:
    userID: AnyID = ""


@attrs.frozen(kw_only=True)
class GetNotNotifyConversationIDsResp:
    conversationIDs: list[str]


@attrs.frozen(kw_only=True)
class GetPinnedConversationIDsReq:
    userID: AnyID = ""


@attrs.frozen(kw_only=True)
class GetPinnedConversationIDsResp:
    conversationIDs: list[str]
