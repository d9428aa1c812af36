"""Bodies of /msg that read, mark and delete."""

from __future__ import annotations

from typing import Annotated

import attrs

from openim_trio.api.marks import (
    FILLED,
    ID,
    PRESENT,
    REQUIRED,
    AnyID,
    AtLeast,
    Int32,
    Int64,
    MaxItems,
    Note,
    OneOf,
)
from openim_trio.api.types.users import MAX_IDS
from openim_trio.services import clearing, deletion, pulls

Seqs = Annotated[list[Int64], REQUIRED, FILLED, MaxItems(MAX_IDS)]
RequiredSeq = Annotated[Int64, REQUIRED, AtLeast(1)]


@attrs.frozen(kw_only=True)
class OfflinePushInfo:
    title: str = ""
    desc: str = ""
    ex: str = ""
    iOSPushSound: str = ""
    iOSBadgeCount: bool = False
    signalInfo: str = ""


@attrs.frozen(kw_only=True)
class MsgData:
    sendID: str
    recvID: str
    groupID: str
    clientMsgID: str
    serverMsgID: str
    senderPlatformID: Int32
    senderNickname: str
    senderFaceURL: str
    sessionType: Int32
    msgFrom: Int32
    contentType: Int32
    content: Annotated[bytes, Note("base64.")]
    seq: Int64
    sendTime: Int64
    createTime: Int64
    status: Int32
    isRead: bool
    options: dict[str, bool]
    offlinePushInfo: OfflinePushInfo | None
    atUserIDList: list[str]
    attachedInfo: str
    ex: str


@attrs.frozen(kw_only=True)
class GetMaxSeqReq:
    userID: ID


@attrs.frozen(kw_only=True)
class GetMaxSeqResp:
    maxSeqs: dict[str, Int64]
    minSeqs: dict[str, Int64]


@attrs.frozen(kw_only=True)
class SeqRange:
    conversationID: AnyID = ""
    begin: Int64 = 0
    end: Int64 = 0
    num: Annotated[Int64, Note("At most so many, the newest.")] = 0


@attrs.frozen(kw_only=True)
class PullMessageBySeqsReq:
    userID: ID
    seqRanges: Annotated[list[SeqRange], MaxItems(pulls.MAX_CONVERSATIONS)] = attrs.field(
        factory=list
    )
    order: Annotated[Int32, OneOf(0, 1), Note("0 ascending, 1 descending.")] = 0


@attrs.frozen(kw_only=True)
class PullMsgs:
    Msgs: list[MsgData]
    isEnd: bool
    endSeq: Int64


@attrs.frozen(kw_only=True)
class PullMessageBySeqsResp:
    msgs: dict[str, PullMsgs]
    notificationMsgs: dict[str, PullMsgs]


@attrs.frozen(kw_only=True)
class RevokeMsgReq:
    conversationID: ID
    seq: RequiredSeq
    userID: ID


@attrs.frozen(kw_only=True)
class MarkMsgsAsReadReq:
    conversationID: ID
    seqs: Seqs
    userID: ID


@attrs.frozen(kw_only=True)
class MarkConversationAsReadReq:
    conversationID: ID
    userID: ID
    hasReadSeq: RequiredSeq
    seqs: Annotated[list[Int64], MaxItems(MAX_IDS)] = attrs.field(factory=list)


@attrs.frozen(kw_only=True)
class GetConversationsHasReadAndMaxSeqReq:
    userID: ID
    conversationIDs: Annotated[
        list[AnyID], FILLED, MaxItems(MAX_IDS), Note("Empty: all of them.")
    ] = attrs.field(factory=list)
    returnPinned: bool = False


@attrs.frozen(kw_only=True)
class ConversationSeqs:
    maxSeq: Int64
    hasReadSeq: Int64
    maxSeqTime: Int64


@attrs.frozen(kw_only=True)
class GetConversationsHasReadAndMaxSeqResp:
    seqs: dict[str, ConversationSeqs]
    pinnedConversationIDs: list[str]


@attrs.frozen(kw_only=True)
class SetConversationHasReadSeqReq:
    conversationID: ID
    userID: ID
    hasReadSeq: RequiredSeq
    noNotification: bool = False


@attrs.frozen(kw_only=True)
class DeleteSyncOpt:
    IsSyncSelf: Annotated[bool, Note("Tell the user's other devices.")] = False
    IsSyncOther: Annotated[bool, Note("Act for everybody in the conversation.")] = False


@attrs.frozen(kw_only=True)
class ClearConversationsMsgReq:
    conversationIDs: Annotated[list[AnyID], REQUIRED, FILLED, MaxItems(clearing.MAX_CONVERSATIONS)]
    userID: ID
    deleteSyncOpt: DeleteSyncOpt | None = None


@attrs.frozen(kw_only=True)
class UserClearAllMsgReq:
    userID: ID
    deleteSyncOpt: DeleteSyncOpt | None = None


@attrs.frozen(kw_only=True)
class DeleteMsgsReq:
    conversationID: ID
    seqs: Annotated[list[Int64], REQUIRED, FILLED, MaxItems(deletion.MAX_SEQS)]
    userID: ID
    deleteSyncOpt: DeleteSyncOpt | None = None


@attrs.frozen(kw_only=True)
class DeleteMsgPhysicalBySeqReq:
    conversationID: AnyID = ""
    seqs: Annotated[list[Int64], MaxItems(deletion.MAX_SEQS)] = attrs.field(factory=list)


@attrs.frozen(kw_only=True)
class DeleteMsgPhysicalReq:
    conversationIDs: Annotated[list[AnyID], PRESENT, MaxItems(clearing.MAX_CONVERSATIONS)]
    timestamp: Annotated[Int64, Note("Age in seconds.")] = 0


@attrs.frozen(kw_only=True)
class GetSendMsgStatusResp:
    status: Annotated[Int32, Note("0 unknown, 1 sending, 2 sent, 3 failed.")]


@attrs.frozen(kw_only=True)
class GetServerTimeResp:
    serverTime: Annotated[Int64, Note("Unix ms.")]
