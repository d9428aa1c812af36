"""POST /manager/send_msg as it was in 2022: the operationID is in the body."""

from __future__ import annotations

import structlog
from quart import request as http

from openim_trio.api import envelope, json_body, outgoing
from openim_trio.api.converter import unstructure
from openim_trio.api.endpoint import Answer, Surroundings, read_body, within
from openim_trio.api.routes import DEFAULT_SECONDS
from openim_trio.api.types.sending import LegacySendReq, SendMsgResp
from openim_trio.domain.actors import Actor
from openim_trio.domain.errors import Code, ServiceError
from openim_trio.services.clock import now_ms

LEGACY_PATH = "/manager/send_msg"


async def answer_legacy(around: Surroundings) -> Answer:
    """An administrator's token is in the header `token`; the body is checked after it, so that
    nobody else learns what is wrong with a body."""
    actor = await _administrator(around)
    body = await read_body(around.config.api.max_body)
    request = json_body.request_of(json_body.parse(body), LegacySendReq)
    with structlog.contextvars.bound_contextvars(operation_id=request.operationID[:256]):
        sent = await within(DEFAULT_SECONDS, lambda: _send(around, actor, request))
    return Answer(envelope.success(unstructure(sent, SendMsgResp)))


async def _administrator(around: Surroundings) -> Actor:
    token = http.headers.get("token", "")
    if not token:
        raise ServiceError(Code.ARGS, "header must have token")
    actor = await around.services.tokens.check(token)
    if not actor.is_admin:
        raise ServiceError(Code.NO_PERMISSION, "administrators only")
    return actor


async def _send(around: Surroundings, actor: Actor, request: LegacySendReq) -> SendMsgResp:
    message = outgoing.legacy_message(request, now_ms())
    sent = await around.services.sending.send_remembered(message, actor, request.operationID[:256])
    return SendMsgResp(
        serverMsgID=sent.serverMsgID, clientMsgID=sent.clientMsgID, sendTime=sent.sendTime
    )
