"""Bodies of the routes that send messages."""

from __future__ import annotations

from typing import Annotated, Any

import attrs

from openim_trio.api.marks import (
    ID,
    PRESENT,
    REQUIRED,
    AnyID,
    Int32,
    Int64,
    MaxItems,
    Note,
    OneOf,
)
from openim_trio.api.types.messages import OfflinePushInfo

Element = Annotated[dict[str, Any], REQUIRED, Note("The element; its keys depend on contentType.")]
SENDABLE = (101, 102, 103, 104, 105, 106, 110, 114, 118, 1400)


@attrs.frozen(kw_only=True)
class Outgoing:
    """What every way to send has."""

    sendID: ID
    senderNickname: str = ""
    senderFaceURL: str = ""
    senderPlatformID: Int32 = 0
    content: Element
    contentType: Annotated[Int32, REQUIRED, OneOf(*SENDABLE)]
    sessionType: Annotated[
        Int32, REQUIRED, OneOf(1, 3, 4), Note("1 single, 3 group, 4 notification.")
    ]
    isOnlineOnly: Annotated[bool, Note("Not stored; only those online get it.")] = False
    notOfflinePush: bool = False
    sendTime: Annotated[Int64, Note("Unix ms; 0: now.")] = 0
    offlinePushInfo: OfflinePushInfo | None = None
    ex: str = ""


@attrs.frozen(kw_only=True)
class SendMsgReq(Outgoing):
    recvID: Annotated[AnyID, Note("For sessionType 1 and 4.")] = ""
    groupID: Annotated[AnyID, Note("For sessionType 3.")] = ""


@attrs.frozen(kw_only=True)
class SendMsgResp:
    serverMsgID: str
    clientMsgID: str
    sendTime: Int64


@attrs.frozen(kw_only=True)
class BatchSendMsgReq(Outgoing):
    isSendAll: Annotated[bool, Note("To every registered user.")] = False
    recvIDs: Annotated[list[AnyID], PRESENT, MaxItems(10_000)]


@attrs.frozen(kw_only=True)
class SingleReturnResult:
    serverMsgID: str
    clientMsgID: str
    sendTime: Int64
    recvID: str


@attrs.frozen(kw_only=True)
class BatchSendMsgResp:
    results: list[SingleReturnResult]
    failedUserIDs: list[str]


@attrs.frozen(kw_only=True)
class SendBusinessNotificationReq:
    key: str = ""
    data: str = ""
    sendUserID: ID
    recvUserID: Annotated[AnyID, Note("Exactly one of recvUserID and recvGroupID.")] = ""
    recvGroupID: AnyID = ""
    sendMsg: Annotated[bool, Note("Also a chat message.")] = False
    reliabilityLevel: Annotated[Int32, OneOf(0, 1, 2), Note("1 or 0: online only; 2: stored.")] = 1


@attrs.frozen(kw_only=True)
class SendSimpleMsgReq:
    sendID: Annotated[AnyID, Note("The sender into a group; ignored for a single chat.")] = ""
    content: Annotated[str, REQUIRED, Note("Markdown.")]
    offlinePushInfo: OfflinePushInfo | None = None
    ex: str = ""


@attrs.frozen(kw_only=True)
class SimpleMsgKey:
    """Inside the query parameter `key`, as base64 of JSON."""

    sendID: AnyID = ""
    recvID: AnyID = ""
    groupID: AnyID = ""


@attrs.frozen(kw_only=True)
class LegacySendReq:
    """POST /manager/send_msg, as it was in 2022."""

    operationID: ID
    sendID: ID
    recvID: ID
    senderPlatformID: Int32 = 0
    senderFaceURL: str = ""
    senderNickname: str = ""
    content: Element
    contentType: Annotated[Int32, REQUIRED]
    sessionType: Annotated[Int32, REQUIRED]
    isOnlineOnly: bool = False
    offlinePushInfo: OfflinePushInfo | None = None
