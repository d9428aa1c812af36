"""Sending: the checks in the protocol's order, then the append pipeline.

A retry of a send (same sender and clientMsgID) gets the first attempt's serverMsgID and sendTime.
Messages with the option history off are not stored: they go to the bus at once, with seq 0, and
whoever is not connected never sees them.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from openim_trio.append.pipeline import AppendPipeline
from openim_trio.append.ports import SequencerUnavailable, StoreUnavailable
from openim_trio.append.requests import Append, Appended
from openim_trio.domain import send_rules
from openim_trio.domain.actors import Actor
from openim_trio.domain.content import validate_content
from openim_trio.domain.content_types import ContentType
from openim_trio.domain.conversations import SessionType
from openim_trio.domain.errors import Code, ServiceError, args_error
from openim_trio.domain.rows import RowKind
from openim_trio.observability.metrics import Metrics
from openim_trio.services.appends import answer, append_of, identify, tombstone_of
from openim_trio.services.clock import now_ms
from openim_trio.services.online_push import OnlinePush, Unstored
from openim_trio.services.send_checks import SendChecks
from openim_trio.store.send_status import SendStatus
from openim_trio.wire.proto import extension_pb2, msg_pb2, sdkws_pb2

Done = Callable[[msg_pb2.SendMsgResp | ServiceError], None]
GivenUp = Callable[[extension_pb2.GiveUpResp | ServiceError], None]

SENT = 2
FAILED = 3

_log = structlog.get_logger()


class Sender:
    def __init__(
        self,
        checks: SendChecks,
        pipeline: AppendPipeline,
        push: OnlinePush,
        statuses: SendStatus,
        metrics: Metrics,
    ) -> None:
        self._checks = checks
        self._pipeline = pipeline
        self._push = push
        self._statuses = statuses
        self._sent = metrics.sends.labels(result="stored")
        self._unstored = metrics.sends.labels(result="online_only")
        self._given_up = metrics.sends.labels(result="given_up")
        self._refused = metrics.sends.labels(result="refused")

    async def submit(
        self, msg: sdkws_pb2.MsgData, actor: Actor, operation_id: str, done: Done
    ) -> None:
        """Returns once the message is queued or refused; `done` is called once, with the answer or
        the refusal.  It must neither block nor raise.  `msg` is changed."""
        try:
            append = await self._prepare(msg, actor, operation_id)
            if append is None:
                outcome = await self._push_unstored(msg, operation_id)
        except (ServiceError, StoreUnavailable, SequencerUnavailable) as error:
            self._refused.inc()
            done(as_service_error(error))
            return
        if append is None:
            done(outcome)
        else:
            await self._pipeline.submit(append, self._answering(append, msg.clientMsgID, done))

    async def send(
        self,
        msg: sdkws_pb2.MsgData,
        actor: Actor,
        operation_id: str,
        *,
        system: bool = False,
    ) -> msg_pb2.SendMsgResp:
        """As `submit`, and waits for the answer; a full queue is a retriable refusal.  `system`:
        the server's own message, of which nothing is checked.  Raises ServiceError."""
        try:
            append = await self._prepare(msg, actor, operation_id, system=system)
            if append is None:
                return await self._push_unstored(msg, operation_id)
        except (StoreUnavailable, SequencerUnavailable) as error:
            raise as_service_error(error) from error
        answered = trio.Event()
        outcomes: list[msg_pb2.SendMsgResp | ServiceError] = []

        def done(outcome: msg_pb2.SendMsgResp | ServiceError) -> None:
            outcomes.append(outcome)
            answered.set()

        self._pipeline.try_submit(append, self._answering(append, msg.clientMsgID, done))
        await answered.wait()
        [outcome] = outcomes
        if isinstance(outcome, ServiceError):
            raise outcome
        return outcome

    async def send_remembered(
        self, msg: sdkws_pb2.MsgData, actor: Actor, operation_id: str
    ) -> msg_pb2.SendMsgResp:
        """As `send`; the result can be asked for by operationID, for 24 hours."""
        try:
            sent = await self.send(msg, actor, operation_id)
        except ServiceError:
            await self._remember(operation_id, FAILED)
            raise
        await self._remember(operation_id, SENT)
        return sent

    async def _remember(self, operation_id: str, status: int) -> None:
        """A hint: whoever was told of a failure because of it would send a second message."""
        try:
            await self._statuses.put(operation_id, status)
        except StoreUnavailable as error:
            _log.warning("send_status_lost", reason=str(error))

    async def status(self, operation_id: str) -> int:
        """0 unknown, 1 sending, 2 sent, 3 failed."""
        return await self._statuses.get(operation_id)

    async def give_up(
        self, msg: sdkws_pb2.MsgData, actor: Actor, operation_id: str, done: GivenUp
    ) -> None:
        """The sender stops retrying.  The answer says for good what became of the message:
        delivered, with the answer to its send, or that it never will be.  As `submit`; an error
        decides nothing, after a retriable one it may be asked again.

        `msg` needs the ids, sessionType, createTime and options of the send; its content is not
        looked at.
        """
        try:
            append = await self._prepare_give_up(msg, actor, operation_id)
        except (ServiceError, StoreUnavailable, SequencerUnavailable) as error:
            self._refused.inc()
            done(as_service_error(error))
            return

        def answered(outcome: Appended | ServiceError) -> None:
            if isinstance(outcome, ServiceError):
                self._refused.inc()
                done(outcome)
            elif outcome.kind is RowKind.TOMBSTONE:
                self._given_up.inc()
                done(extension_pb2.GiveUpResp())
            else:
                sent = answer(append, msg.clientMsgID, outcome)
                done(extension_pb2.GiveUpResp(delivered=True, sent=sent))

        await self._pipeline.submit(append, answered)

    async def _prepare_give_up(
        self, message: sdkws_pb2.MsgData, actor: Actor, operation_id: str
    ) -> Append:
        """The same conversation and key as the send's."""
        _stand_in_for_body(message)
        send_rules.check_message(message, actor)
        send_rules.settle(message, actor)
        if not send_rules.is_stored(message):
            raise args_error("options.history", "is off: the message is not stored anyway")
        await self._checks.check_give_up(message, actor, send_rules.conversation(message))
        return tombstone_of(message, operation_id)

    async def _prepare(
        self,
        message: sdkws_pb2.MsgData,
        actor: Actor,
        operation_id: str,
        *,
        system: bool = False,
    ) -> Append | None:
        """What to append; None: not to be stored."""
        if not system:
            send_rules.check_message(message, actor)
            send_rules.settle(message, actor)
        target = send_rules.conversation(message)
        if not system:
            await self._checks.check(message, actor, target)
            validate_content(message.contentType, message.content)
        send_time = message.sendTime if system or actor.is_admin else 0
        if not send_rules.is_stored(message):
            identify(message, target)
            message.sendTime = send_time or now_ms()
            return None
        return append_of(message, operation_id, target=target, send_time=max(send_time, 0))

    async def _push_unstored(
        self, message: sdkws_pb2.MsgData, operation_id: str
    ) -> msg_pb2.SendMsgResp:
        await self._push.push(Unstored(message, operation_id=operation_id))
        self._unstored.inc()
        return msg_pb2.SendMsgResp(
            serverMsgID=message.serverMsgID,
            clientMsgID=message.clientMsgID,
            sendTime=message.sendTime,
        )

    def _answering(
        self, append: Append, client_msg_id: str, done: Done
    ) -> Callable[[Appended | ServiceError], None]:
        def answered(outcome: Appended | ServiceError) -> None:
            if isinstance(outcome, ServiceError):
                self._refused.inc()
                done(outcome)
            else:
                self._sent.inc()
                done(answer(append, client_msg_id, outcome))

        return answered


def _stand_in_for_body(message: sdkws_pb2.MsgData) -> None:
    """A give-up has no content, and needs no contentType."""
    message.content = b"{}"
    if not message.contentType:
        system_session = message.sessionType == SessionType.NOTIFICATION
        message.contentType = ContentType.OA_NOTIFICATION if system_session else ContentType.TEXT


def as_service_error(
    error: ServiceError | StoreUnavailable | SequencerUnavailable,
) -> ServiceError:
    if isinstance(error, ServiceError):
        return error
    return ServiceError(Code.DATABASE, "an engine does not answer", retriable=True)
