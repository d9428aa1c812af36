"""The routes of /msg that send."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Sequence

import structlog
import trio

from openim_trio.api import json_body, outgoing
from openim_trio.api.routes import Call
from openim_trio.api.types.sending import (
    BatchSendMsgReq,
    BatchSendMsgResp,
    SendBusinessNotificationReq,
    SendMsgReq,
    SendMsgResp,
    SendSimpleMsgReq,
    SimpleMsgKey,
    SingleReturnResult,
)
from openim_trio.domain.content_types import ContentType
from openim_trio.domain.conversations import SessionType
from openim_trio.domain.errors import ServiceError, args_error
from openim_trio.services.clock import now_ms
from openim_trio.wire.proto import msg_pb2

log = structlog.get_logger()

SEND_ALL_PAGE = 500
SENDS_AT_ONCE = 64
STORED = 2
"""reliabilityLevel"""


def _sent(answer: msg_pb2.SendMsgResp) -> SendMsgResp:
    return SendMsgResp(
        serverMsgID=answer.serverMsgID, clientMsgID=answer.clientMsgID, sendTime=answer.sendTime
    )


async def send_msg(call: Call, request: SendMsgReq) -> SendMsgResp:
    group = request.sessionType == SessionType.GROUP
    if group and not request.groupID:
        raise args_error("groupID", "is required")
    if not group and not request.recvID:
        raise args_error("recvID", "is required")
    message = outgoing.message_of(
        request,
        recv_id=request.recvID,
        group_id=request.groupID,
        client_msg_id=outgoing.new_client_msg_id(),
        create_time=now_ms(),
    )
    return _sent(
        await call.services.sending.send_remembered(message, call.actor, call.operation_id)
    )


async def batch_send_msg(call: Call, request: BatchSendMsgReq) -> BatchSendMsgResp:
    """Each receiver gets a message of its own; all bear one clientMsgID."""
    if request.sessionType == SessionType.GROUP:
        raise args_error("sessionType", "must be 1 or 4")
    client_msg_id, create_time = outgoing.new_client_msg_id(), now_ms()
    results: dict[str, SingleReturnResult] = {}
    failed: list[str] = []

    async def send_to(user_id: str) -> None:
        message = outgoing.message_of(
            request, recv_id=user_id, client_msg_id=client_msg_id, create_time=create_time
        )
        try:
            answer = await call.services.sending.send(message, call.actor, call.operation_id)
        except ServiceError as error:
            log.info("batch_send_refused", code=int(error.code))
            failed.append(user_id)
        else:
            results[user_id] = SingleReturnResult(
                serverMsgID=answer.serverMsgID,
                clientMsgID=answer.clientMsgID,
                sendTime=answer.sendTime,
                recvID=user_id,
            )

    # a bad element is the caller's error, not each receiver's
    outgoing.message_of(request, client_msg_id=client_msg_id, create_time=create_time)
    async for user_ids in _receivers(call, request):
        for start in range(0, len(user_ids), SENDS_AT_ONCE):
            async with trio.open_nursery() as nursery:
                for user_id in user_ids[start : start + SENDS_AT_ONCE]:
                    nursery.start_soon(send_to, user_id)
    return BatchSendMsgResp(results=list(results.values()), failedUserIDs=failed)


async def _receivers(call: Call, request: BatchSendMsgReq) -> AsyncIterator[Sequence[str]]:
    """Pages of user IDs, each at most once on its page."""
    if not request.isSendAll:
        yield list(dict.fromkeys(request.recvIDs))
        return
    page = 1
    while True:
        _, user_ids = await call.services.users.page_ids(page, SEND_ALL_PAGE)
        yield [user_id for user_id in user_ids if user_id != request.sendID]
        if len(user_ids) < SEND_ALL_PAGE:
            return
        page += 1


async def send_business_notification(
    call: Call, request: SendBusinessNotificationReq
) -> SendMsgResp:
    if bool(request.recvUserID) == bool(request.recvGroupID):
        raise args_error("recvUserID", "exactly one of recvUserID and recvGroupID is required")
    answer = await call.services.notifications.notify(
        ContentType.BUSINESS,
        {"key": request.key, "data": request.data},
        send_id=request.sendUserID,
        recv_id=request.recvUserID,
        group_id=request.recvGroupID,
        session_type=SessionType.GROUP if request.recvGroupID else SessionType.SINGLE,
        stored=request.reliabilityLevel == STORED,
        send_msg=request.sendMsg,
        operation_id=call.operation_id,
    )
    return _sent(answer)


async def send_simple_msg(call: Call, request: SendSimpleMsgReq) -> SendMsgResp:
    """A bot's reply: back to whom the key came from."""
    key = _simple_key(call.query.get("key", ""))
    send_id = request.sendID if key.groupID else key.recvID
    if not send_id:
        raise args_error("sendID" if key.groupID else "key", "names no sender")
    message = outgoing.simple_message(
        send_id,
        request.content,
        request.offlinePushInfo,
        request.ex,
        recv_id="" if key.groupID else key.sendID,
        group_id=key.groupID,
        create_time=now_ms(),
    )
    return _sent(
        await call.services.sending.send_remembered(message, call.actor, call.operation_id)
    )


def _simple_key(text: str) -> SimpleMsgKey:
    if not text:
        raise args_error("key", "is required in the query")
    try:
        # a "+" that was not escaped arrives as a space
        raw = base64.b64decode(text.replace(" ", "+").replace("-", "+").replace("_", "/") + "==")
    except (ValueError, binascii.Error):
        raise args_error("key", "not base64 of JSON") from None
    return json_body.request_of(json_body.parse(raw), SimpleMsgKey)
