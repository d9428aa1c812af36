"""What each request does: a table from reqIdentifier to a handler over the services."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from google.protobuf.message import DecodeError, Message

from openim_trio.append.ports import SequencerUnavailable, StoreUnavailable
from openim_trio.config.model import GatewayConfig
from openim_trio.domain.errors import Code, ServiceError, args_error
from openim_trio.gateway.ports import GatewayServices
from openim_trio.observability.metrics import Metrics
from openim_trio.wire.envelope import Request
from openim_trio.wire.identifiers import Req
from openim_trio.wire.proto import msg_pb2, push_pb2, sdkws_pb2

if TYPE_CHECKING:
    from openim_trio.gateway.filler import GapFiller
    from openim_trio.gateway.session import Session
    from openim_trio.gateway.watching import Watching

MAX_OPERATION_ID = 256
"""characters of a sender's operationID that its receivers are told"""

log = structlog.get_logger()

Done = Callable[[Message | ServiceError], None]
Handler = Callable[["Session", bytes], Awaitable[bytes]]
M = TypeVar("M", bound=Message)


class Dispatcher:
    """Shared by the sessions of a worker.  Answers are protobuf bytes or a ServiceError; nothing
    is raised but cancellation."""

    def __init__(
        self,
        config: GatewayConfig,
        services: GatewayServices,
        filler: GapFiller,
        watching: Watching,
        metrics: Metrics,
    ) -> None:
        self.config = config
        self.filler = filler
        self.metrics = metrics
        self._services = services
        self._watching = watching
        self._counters: dict[tuple[int, int], Any] = {}
        self._handlers: dict[int, Handler] = {
            Req.NEWEST_SEQ: self._newest_seq,
            Req.PULL_RANGES: self._pull_ranges,
            Req.SIGNAL: self._signal,
            Req.PULL_SEQS: self._pull_seqs,
            Req.READ_AND_MAX: self._read_and_max,
            Req.LAST_MESSAGES: self._last_messages,
            Req.LOGOUT: self._logout,
            Req.BACKGROUND: self._background,
            Req.ONLINE_STATUS: self._online_status,
        }

    async def serve(self, session: Session, request: Request) -> bytes | ServiceError:
        """Any request that is not pipelined."""
        try:
            return await self._handlers[request.req_identifier](session, request.data)
        except Exception as error:
            return self._as_service_error(error, session, request)

    async def submit(
        self, session: Session, request: Request, message: sdkws_pb2.MsgData, done: Done
    ) -> ServiceError | None:
        """Queue a send or a give-up; `done` is called later with its answer, unless an error is
        returned."""
        try:
            if message.sendID != session.user_id and not session.actor.is_admin:
                return ServiceError(Code.NO_PERMISSION, "sendID: is not the connection's user")
            operation_id = request.operation_id[:MAX_OPERATION_ID]
            sending = self._services.sending
            gives_up = request.req_identifier == Req.GIVE_UP
            accept = sending.give_up if gives_up else sending.submit
            await accept(message, session.actor, operation_id, done)
        except Exception as error:
            return self._as_service_error(error, session, request)
        return None

    def count_request(self, identifier: int, code: int) -> None:
        counter = self._counters.get((identifier, code))
        if counter is None:
            counter = self.metrics.requests.labels(req=identifier, code=code)
            self._counters[identifier, code] = counter
        counter.inc()

    def _as_service_error(
        self, error: Exception, session: Session, request: Request
    ) -> ServiceError:
        if isinstance(error, ServiceError):
            return error
        if isinstance(error, SequencerUnavailable | StoreUnavailable):
            return ServiceError(Code.DATABASE, "an engine does not answer", retriable=True)
        log.exception(
            "request_failed",
            req=request.req_identifier,
            operation_id=request.operation_id[:128],
            conn_id=session.conn_id,
        )
        return ServiceError(Code.INTERNAL)

    # -- handlers

    async def _newest_seq(self, session: Session, data: bytes) -> bytes:
        request = _own(session, _parse(sdkws_pb2.GetMaxSeqReq, data))
        answer = await self._services.pulls.max_seqs(request.userID)
        return answer.SerializeToString()

    async def _pull_ranges(self, session: Session, data: bytes) -> bytes:
        request = _own(session, _parse(sdkws_pb2.PullMessageBySeqsReq, data))
        return (await self._services.pulls.pull_ranges(request)).SerializeToString()

    async def _pull_seqs(self, session: Session, data: bytes) -> bytes:
        request = _own(session, _parse(msg_pb2.GetSeqMessageReq, data))
        return (await self._services.pulls.pull_seqs(request)).SerializeToString()

    async def _read_and_max(self, session: Session, data: bytes) -> bytes:
        request = _own(session, _parse(msg_pb2.GetConversationsHasReadAndMaxSeqReq, data))
        return (await self._services.pulls.read_and_max(request)).SerializeToString()

    async def _last_messages(self, session: Session, data: bytes) -> bytes:
        request = _own(session, _parse(msg_pb2.GetLastMessageReq, data))
        return (await self._services.pulls.last_messages(request)).SerializeToString()

    async def _signal(self, session: Session, data: bytes) -> bytes:
        raise args_error("reqIdentifier", "signalling messages are not served")

    async def _logout(self, session: Session, data: bytes) -> bytes:
        _parse(push_pb2.DelUserPushTokenReq, data)
        return push_pb2.DelUserPushTokenResp().SerializeToString()

    async def _background(self, session: Session, data: bytes) -> bytes:
        session.background = _parse(sdkws_pb2.SetAppBackgroundStatusReq, data).isBackground
        return b""

    async def _online_status(self, session: Session, data: bytes) -> bytes:
        request = _parse(sdkws_pb2.SubUserOnlineStatus, data)
        self._watching.stop(session, request.unsubscribeUserID)
        tips = await self._watching.start(session, request.subscribeUserID)
        return tips.SerializeToString()


def _parse(kind: type[M], data: bytes) -> M:
    try:
        return kind.FromString(data)
    except DecodeError:
        raise args_error("data", f"is not a {kind.DESCRIPTOR.full_name}") from None


def _own(session: Session, request: Any) -> Any:
    """The request speaks for the connection's user (an administrator: for anybody)."""
    if not request.userID:
        request.userID = session.user_id
    elif not session.actor.may_act_for(request.userID):
        raise ServiceError(Code.NO_PERMISSION, "userID: is not the connection's user")
    return request
