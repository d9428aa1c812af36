"""From an accepted socket to an admitted connection, or to an answer that says why not."""

from __future__ import annotations

import socket
from http import HTTPStatus

import attrs
import structlog
import trio

from openim_trio.append.ports import SequencerUnavailable, StoreUnavailable
from openim_trio.domain.actors import Actor
from openim_trio.domain.errors import Code, ServiceError
from openim_trio.gateway import handshake, http_upgrade
from openim_trio.gateway.handshake import ConnectArgs
from openim_trio.gateway.http_upgrade import BadRequest, Headers, HttpAnswer, UpgradeRequest
from openim_trio.gateway.hub import Hub, LocalUser
from openim_trio.gateway.outgoing import Opcode, OutFrame
from openim_trio.gateway.ports import TokenGate
from openim_trio.gateway.transports.base import CLOSE_GRACE, Accept, Transport, TransportContext
from openim_trio.services.clock import now_ms

log = structlog.get_logger()


@attrs.frozen(slots=True)
class Admitted:
    """`user` is held: the caller releases it."""

    args: ConnectArgs
    actor: Actor
    user: LocalUser
    transport: Transport


class Admission:
    """`accept`: the transport.  Handshakes that may still succeed count as connections."""

    def __init__(self, tokens: TokenGate, hub: Hub, accept: Accept) -> None:
        self._tokens = tokens
        self._hub = hub
        self._accept = accept
        self._pending = 0

    async def admit(self, sock: socket.socket, context: TransportContext) -> Admitted | None:
        """None: refused, the peer was answered and the socket is done with.  The whole handshake
        has `handshake_timeout`; a peer that is slower gets no answer."""
        with trio.move_on_after(context.config.handshake_timeout):
            try:
                request = await http_upgrade.read_upgrade(sock)
            except BadRequest as bad:
                count_handshake(context, int(bad.answer.status))
                await self._answer(sock, bad.answer)
                return None
            return await self._decide(sock, request, context)
        count_handshake(context, HTTPStatus.REQUEST_TIMEOUT)
        return None

    async def _decide(
        self, sock: socket.socket, request: UpgradeRequest, context: TransportContext
    ) -> Admitted | None:
        self._pending += 1
        try:
            args, outcome = await self._check(request, context)
            if not isinstance(outcome, ServiceError):
                assert args is not None
                return await self._welcome(sock, request, context, args, *outcome)
        finally:
            self._pending -= 1
        await self._refuse(sock, request, context, args, outcome)
        return None

    async def _check(
        self, request: UpgradeRequest, context: TransportContext
    ) -> tuple[ConnectArgs | None, ServiceError | tuple[Actor, LocalUser]]:
        """The arguments if they could be parsed; an error, or whom to welcome (held)."""
        args: ConnectArgs | None = None
        try:
            self._check_limit(context.config.max_connections)
            args = handshake.parse_arguments(request.query, request.compression_header)
            actor = await self._tokens.check(args.token)
            handshake.check_actor(args, actor)
            return args, (actor, await self._hub.hold(args.user_id))
        except Exception as error:
            return args, _as_service_error(error)

    def _check_limit(self, limit: int) -> None:
        if len(self._hub.sessions) + self._pending > limit:
            raise ServiceError(Code.CONNECTION_LIMIT, "this worker is full")

    async def _welcome(
        self,
        sock: socket.socket,
        request: UpgradeRequest,
        context: TransportContext,
        args: ConnectArgs,
        actor: Actor,
        user: LocalUser,
    ) -> Admitted:
        try:
            transport = await self._accept(sock, request, context, _headers(args))
        except BaseException:
            self._hub.release(user)
            raise
        count_handshake(context, 0)
        if args.msg_resp:
            transport.put(OutFrame(handshake.answer(), Opcode.TEXT))
        return Admitted(args, actor, user, transport)

    async def _refuse(
        self,
        sock: socket.socket,
        request: UpgradeRequest,
        context: TransportContext,
        args: ConnectArgs | None,
        error: ServiceError,
    ) -> None:
        count_handshake(context, int(error.code))
        body = handshake.answer(error)
        if args is None or not args.msg_resp:
            await self._answer(sock, HttpAnswer(HTTPStatus.OK, body, http_upgrade.JSON_TYPE))
            return
        transport = await self._accept(sock, request, context, _headers(args))
        try:
            transport.put(OutFrame(body, Opcode.TEXT))
            transport.close(None)
            with trio.move_on_after(CLOSE_GRACE):
                while await transport.receive() is not None:
                    pass
        finally:
            transport.abort()

    async def _answer(self, sock: socket.socket, answer: HttpAnswer) -> None:
        await http_upgrade.send_all(sock, answer.encode())
        await http_upgrade.finish(sock)


def _headers(args: ConnectArgs) -> Headers:
    return handshake.headers(args, now_ms())


def count_handshake(context: TransportContext, code: int) -> None:
    """Codes below 500 that are no errCode are HTTP's."""
    context.metrics.handshakes.labels(code=code).inc()


def _as_service_error(error: Exception) -> ServiceError:
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, SequencerUnavailable | StoreUnavailable):
        return ServiceError(Code.DATABASE, "an engine does not answer", retriable=True)
    log.error("handshake_failed", exc_info=error)
    return ServiceError(Code.INTERNAL)
