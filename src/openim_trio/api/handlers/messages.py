"""The routes of /msg that read, mark and delete."""

from __future__ import annotations

from openim_trio.api.proto_bridge import from_proto, to_proto
from openim_trio.api.routes import Call, Empty
from openim_trio.api.types.messages import (
    ClearConversationsMsgReq,
    DeleteMsgPhysicalBySeqReq,
    DeleteMsgPhysicalReq,
    DeleteMsgsReq,
    DeleteSyncOpt,
    GetConversationsHasReadAndMaxSeqReq,
    GetConversationsHasReadAndMaxSeqResp,
    GetMaxSeqReq,
    GetMaxSeqResp,
    GetSendMsgStatusResp,
    GetServerTimeResp,
    MarkConversationAsReadReq,
    MarkMsgsAsReadReq,
    PullMessageBySeqsReq,
    PullMessageBySeqsResp,
    RevokeMsgReq,
    SetConversationHasReadSeqReq,
    UserClearAllMsgReq,
)
from openim_trio.services.clock import now_ms
from openim_trio.wire.proto import msg_pb2, sdkws_pb2

NEITHER = DeleteSyncOpt()


async def newest_seq(call: Call, request: GetMaxSeqReq) -> GetMaxSeqResp:
    return from_proto(GetMaxSeqResp, await call.services.pulls.max_seqs(request.userID))


async def pull_msg_by_seq(call: Call, request: PullMessageBySeqsReq) -> PullMessageBySeqsResp:
    wanted = to_proto(request, sdkws_pb2.PullMessageBySeqsReq)
    return from_proto(PullMessageBySeqsResp, await call.services.pulls.pull_ranges(wanted))


async def get_conversations_has_read_and_max_seq(
    call: Call, request: GetConversationsHasReadAndMaxSeqReq
) -> GetConversationsHasReadAndMaxSeqResp:
    wanted = to_proto(request, msg_pb2.GetConversationsHasReadAndMaxSeqReq)
    found = await call.services.pulls.read_and_max(wanted)
    return from_proto(GetConversationsHasReadAndMaxSeqResp, found)


async def revoke_msg(call: Call, request: RevokeMsgReq) -> Empty:
    await call.services.deletion.revoke(
        call.actor, request.userID, request.conversationID, request.seq, call.operation_id
    )
    return Empty()


async def mark_msgs_as_read(call: Call, request: MarkMsgsAsReadReq) -> Empty:
    await call.services.read_state.mark_msgs_as_read(
        request.userID, request.conversationID, request.seqs, call.operation_id
    )
    return Empty()


async def mark_conversation_as_read(call: Call, request: MarkConversationAsReadReq) -> Empty:
    await call.services.read_state.mark_conversation_as_read(
        request.userID,
        request.conversationID,
        request.hasReadSeq,
        request.seqs,
        call.operation_id,
    )
    return Empty()


async def set_conversation_has_read_seq(call: Call, request: SetConversationHasReadSeqReq) -> Empty:
    await call.services.read_state.set_has_read_seq(
        request.userID, request.conversationID, request.hasReadSeq, call.operation_id
    )
    return Empty()


async def clear_conversation_msg(call: Call, request: ClearConversationsMsgReq) -> Empty:
    sync = request.deleteSyncOpt or NEITHER
    await call.services.clearing.clear(
        call.actor,
        request.userID,
        request.conversationIDs,
        sync_self=sync.IsSyncSelf,
        sync_other=sync.IsSyncOther,
        operation_id=call.operation_id,
    )
    return Empty()


async def user_clear_all_msg(call: Call, request: UserClearAllMsgReq) -> Empty:
    sync = request.deleteSyncOpt or NEITHER
    await call.services.clearing.clear_all(
        call.actor,
        request.userID,
        sync_self=sync.IsSyncSelf,
        sync_other=sync.IsSyncOther,
        operation_id=call.operation_id,
    )
    return Empty()


async def delete_msgs(call: Call, request: DeleteMsgsReq) -> Empty:
    sync = request.deleteSyncOpt or NEITHER
    await call.services.deletion.delete_msgs(
        call.actor,
        request.userID,
        request.conversationID,
        request.seqs,
        sync_self=sync.IsSyncSelf,
        sync_other=sync.IsSyncOther,
        operation_id=call.operation_id,
    )
    return Empty()


async def delete_msg_physical_by_seq(call: Call, request: DeleteMsgPhysicalBySeqReq) -> Empty:
    await call.services.deletion.erase(request.conversationID, request.seqs)
    return Empty()


async def delete_msg_physical(call: Call, request: DeleteMsgPhysicalReq) -> Empty:
    """Of the named conversations, what is older than `timestamp` seconds."""
    before = now_ms() - max(request.timestamp, 0) * 1000
    await call.services.clearing.erase_before(request.conversationIDs, before)
    return Empty()


async def check_msg_is_send_success(call: Call, request: Empty) -> GetSendMsgStatusResp:
    return GetSendMsgStatusResp(status=await call.services.sending.status(call.operation_id))


async def get_server_time(call: Call, request: Empty) -> GetServerTimeResp:
    return GetServerTimeResp(serverTime=now_ms())
