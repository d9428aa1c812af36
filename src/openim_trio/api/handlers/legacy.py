"""POST /manager/send_msg as it was in 2022."""

from __future__ import annotations

from openim_trio.api import outgoing
from openim_trio.api.routes import Call
from openim_trio.api.types.sending import LegacySendReq, SendMsgResp
from openim_trio.services.clock import now_ms


async def send_msg(call: Call, request: LegacySendReq) -> SendMsgResp:
    message = outgoing.legacy_message(request, now_ms())
    sent = await call.services.sending.send_remembered(message, call.actor, call.operation_id)
    return SendMsgResp(
        serverMsgID=sent.serverMsgID, clientMsgID=sent.clientMsgID, sendTime=sent.sendTime
    )
