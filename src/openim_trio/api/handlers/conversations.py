"""/conversation."""

from __future__ import annotations

from collections.abc import Sequence

from openim_trio.api.proto_bridge import from_proto
from openim_trio.api.routes import Call, Empty
from openim_trio.api.types.conversations import (
    Conversation,
    GetAllConversationsReq,
    GetAllConversationsResp,
    GetConversationReq,
    GetConversationResp,
    GetConversationsReq,
    GetConversationsResp,
    GetFullOwnerConversationIDsReq,
    GetFullOwnerConversationIDsResp,
    GetIncrementalConversationReq,
    GetIncrementalConversationResp,
    GetNotNotifyConversationIDsReq,
    GetNotNotifyConversationIDsResp,
    GetOwnerConversationReq,
    GetOwnerConversationResp,
    GetPinnedConversationIDsReq,
    GetPinnedConversationIDsResp,
    SetConversationsReq,
)
from openim_trio.services.conversation_settings import Chat, Settings
from openim_trio.wire.proto import conversation_pb2


def _rows(found: Sequence[conversation_pb2.Conversation]) -> list[Conversation]:
    return [from_proto(Conversation, row) for row in found]


async def get_all_conversations(
    call: Call, request: GetAllConversationsReq
) -> GetAllConversationsResp:
    found = await call.services.conversations.all_of(request.ownerUserID)
    return GetAllConversationsResp(conversations=_rows(found))


async def get_conversation(call: Call, request: GetConversationReq) -> GetConversationResp:
    found = await call.services.conversations.one(request.ownerUserID, request.conversationID)
    return GetConversationResp(conversation=from_proto(Conversation, found))


async def get_conversations(call: Call, request: GetConversationsReq) -> GetConversationsResp:
    found = await call.services.conversations.some(request.ownerUserID, request.conversationIDs)
    return GetConversationsResp(conversations=_rows(found))


async def set_conversations(call: Call, request: SetConversationsReq) -> Empty:
    wanted = request.conversation
    await call.services.conversation_settings.change(
        request.userIDs,
        Chat(wanted.conversationID, wanted.conversationType, wanted.userID, wanted.groupID),
        Settings(
            recv_msg_opt=wanted.recvMsgOpt,
            is_pinned=wanted.isPinned,
            attached_info=wanted.attachedInfo,
            is_private_chat=wanted.isPrivateChat,
            ex=wanted.ex,
            burn_duration=wanted.burnDuration,
            group_at_type=wanted.groupAtType,
            msg_destruct_time=wanted.msgDestructTime,
            is_msg_destruct=wanted.isMsgDestruct,
        ),
        call.operation_id,
    )
    return Empty()


async def get_full_conversation_ids(
    call: Call, request: GetFullOwnerConversationIDsReq
) -> GetFullOwnerConversationIDsResp:
    found = await call.services.conversations.full_ids(request.userID, request.idHash)
    return GetFullOwnerConversationIDsResp(
        version=found.version,
        versionID=found.version_id,
        equal=found.equal,
        conversationIDs=list(found.ids),
    )


async def get_incremental_conversations(
    call: Call, request: GetIncrementalConversationReq
) -> GetIncrementalConversationResp:
    found = await call.services.conversations.incremental(
        request.userID, request.versionID, request.version
    )
    return GetIncrementalConversationResp(
        version=found.version,
        versionID=found.version_id,
        full=found.full,
        delete=list(found.deleted),
        insert=_rows(found.inserted),
        update=_rows(found.updated),
    )


async def get_owner_conversation(
    call: Call, request: GetOwnerConversationReq
) -> GetOwnerConversationResp:
    page = request.pagination
    total, found = await call.services.conversations.page(
        request.userID, page.pageNumber, page.showNumber
    )
    return GetOwnerConversationResp(total=total, conversations=_rows(found))


async def get_not_notify_conversation_ids(
    call: Call, request: GetNotNotifyConversationIDsReq
) -> GetNotNotifyConversationIDsResp:
    return GetNotNotifyConversationIDsResp(
        conversationIDs=await call.services.conversations.not_notify_ids(request.userID)
    )


async def get_pinned_conversation_ids(
    call: Call, request: GetPinnedConversationIDsReq
) -> GetPinnedConversationIDsResp:
    return GetPinnedConversationIDsResp(
        conversationIDs=await call.services.conversations.pinned_ids(request.userID)
    )
