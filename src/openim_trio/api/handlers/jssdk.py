"""/jssdk: conversations with their last messages, for the JavaScript SDK."""

from __future__ import annotations

from openim_trio.api.proto_bridge import from_proto
from openim_trio.api.routes import Call
from openim_trio.api.types.jssdk import (
    GetActiveConversationsReq,
    GetJSConversationsReq,
    JSConversationsResp,
)


async def get_conversations(call: Call, request: GetJSConversationsReq) -> JSConversationsResp:
    found = await call.services.conversations.with_last_messages(
        call.actor.user_id, request.conversationIDs
    )
    return from_proto(JSConversationsResp, found)


async def get_active_conversations(
    call: Call, request: GetActiveConversationsReq
) -> JSConversationsResp:
    found = await call.services.conversations.active(call.actor.user_id, request.count)
    return from_proto(JSConversationsResp, found)
