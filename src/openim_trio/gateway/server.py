"""The WebSocket gateway of a worker: accepts connections and runs their sessions."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Awaitable, Callable
from itertools import count

import structlog
import trio

from openim_trio.append.ports import SequencerUnavailable, StoreUnavailable
from openim_trio.config.model import Config
from openim_trio.domain.errors import ServiceError
from openim_trio.gateway.accepting import accept_connections, descriptor_room
from openim_trio.gateway.admission import Admission, Admitted
from openim_trio.gateway.dispatch import Dispatcher
from openim_trio.gateway.fanout import Fanout
from openim_trio.gateway.filler import GapFiller
from openim_trio.gateway.http_upgrade import Disconnected
from openim_trio.gateway.hub import Hub
from openim_trio.gateway.kicks import kicked_by, register
from openim_trio.gateway.ports import GatewayBus, GatewayServices
from openim_trio.gateway.presence import BusPresence
from openim_trio.gateway.reconcile import Reconciler
from openim_trio.gateway.session import Session
from openim_trio.gateway.transports import lean, trio_ws
from openim_trio.gateway.transports.base import Accept, TickFlusher, TransportContext
from openim_trio.gateway.watching import Watching
from openim_trio.observability.metrics import Metrics
from openim_trio.services.control import (
    ALL_WORKERS,
    ControlMessage,
    Kick,
    MembershipChanged,
    PresenceAnswer,
    PresenceChanged,
    PresenceQuery,
    WorkerGone,
    worker_channel,
)

TRANSPORTS: dict[str, Accept] = {"lean": lean.accept, "trio-websocket": trio_ws.accept}
HANDSHAKES_BEYOND = 1_000
"""connections above the limit that may be told so at the same time"""
SWEEP_EVERY = 1.0
YIELD_AFTER = 256
RESTART_AFTER = 0.1

log = structlog.get_logger()


class Gateway:
    """One per worker.  Takes the bus's callbacks over.

    `presence` implements `services.ports.Presence`; `worker` names this worker among all.
    """

    def __init__(
        self,
        config: Config,
        services: GatewayServices,
        bus: GatewayBus,
        metrics: Metrics,
        worker: str = "",
    ) -> None:
        self.worker = worker or uuid.uuid4().hex[:12]
        self._config = config.gateway
        self._policy = config.auth.login_policy
        self._services = services
        self._bus = bus
        self._metrics = metrics
        self._numbers = count(1)
        self._open = 0
        self._descriptors = descriptor_room()
        self._drain_code = 0
        self._stop_accepting = trio.CancelScope()
        self.stopped_accepting = trio.Event()
        """the listening socket may be closed"""
        self._empty = trio.Event()
        self._flusher = TickFlusher()
        self.hub = Hub(bus, services.memberships)
        self.presence = BusPresence(self.worker, self.hub, bus)
        self._fanout = Fanout(self.hub, self._flusher, metrics)
        self._filler = GapFiller(services.pulls, metrics)
        self._watching = Watching(bus, self.presence)
        self._reconciler = Reconciler(self.hub, self._fanout, services)
        self._dispatcher = Dispatcher(self._config, services, self._filler, self._watching, metrics)
        self._admission = Admission(services.tokens, self.hub, TRANSPORTS[self._config.transport])
        self._listen_to_bus()

    def _listen_to_bus(self) -> None:
        self._bus.on_message = self._fanout.on_message
        self._bus.on_chunk_end = self._fanout.on_chunk_end
        self._bus.on_restored = self._on_lost_messages
        self._fanout.on_overflow = self._on_lost_messages
        self._fanout.on_control = self._on_control

    @property
    def connections(self) -> int:
        """Open ones, handshakes included."""
        return self._open

    # -- serving -----------------------------------------------------------------------------------

    async def serve(
        self,
        listen_socket: socket.socket,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept on a listening socket that may be shared with other processes, until drained or
        cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                context = TransportContext(self._config, self._metrics, self._flusher, nursery)
                for part in self._parts():
                    nursery.start_soon(_keep_running, part)
                await self._listen_for_workers()
                task_status.started()

                def on_connection(sock: socket.socket) -> None:
                    self._open += 1
                    nursery.start_soon(self._connection, sock, context)

                with self._stop_accepting:
                    await accept_connections(listen_socket, on_connection, self._may_accept)
                self.stopped_accepting.set()
                await self._until_empty()
                nursery.cancel_scope.cancel()
        finally:
            for session in list(self.hub.sessions.values()):
                session.transport.abort()

    def _parts(self) -> list[Callable[[], Awaitable[None]]]:
        return [
            self._flusher.run,
            self._fanout.run,
            self._filler.run,
            self._sweep,
            self.hub.run,
            self.presence.run,
            self._watching.run,
            self._reconciler.run,
        ]

    async def _listen_for_workers(self) -> None:
        try:
            await self._bus.subscribe([ALL_WORKERS, worker_channel(self.worker)])
        except SequencerUnavailable as error:
            # They stay wanted; until they are heard, handshakes are refused anyway.
            log.warning("gateway_starts_without_bus", reason=str(error))

    def _may_accept(self) -> bool:
        limit = min(self._config.max_connections + HANDSHAKES_BEYOND, self._descriptors)
        return self._open < limit

    async def _connection(self, sock: socket.socket, context: TransportContext) -> None:
        """From accepted to closed.  Nothing that happens to one connection gets out of here."""
        admitted: Admitted | None = None
        try:
            admitted = await self._admission.admit(sock, context)
            if admitted is not None:
                await self._session(admitted)
        except Disconnected:
            pass
        except Exception:
            log.exception("connection_failed")
        finally:
            if admitted is None:
                sock.close()
            self._open -= 1
            if not self._open:
                self._empty.set()

    async def _session(self, admitted: Admitted) -> None:
        session = Session(
            f"{self.worker}-{next(self._numbers)}",
            admitted.actor,
            admitted.args.encoding,
            admitted.transport,
            self._dispatcher,
            admitted.args.sdk_version,
            extension=admitted.args.extension,
        )
        self._metrics.connections.inc()
        log.debug(
            "connected",
            conn_id=session.conn_id,
            user_id=session.user_id,
            platform=int(session.platform),
            operation_id=admitted.args.operation_id[:128],
        )
        try:
            self.hub.attach(admitted.user, session)
            await self._register(session)
            if self._drain_code:
                session.drain(self._drain_code)
            await session.run()
        finally:
            session.transport.abort()
            self._watching.forget(session)
            self.hub.detach(admitted.user, session)
            self.hub.release(admitted.user)
            self._metrics.connections.dec()
            log.debug("disconnected", conn_id=session.conn_id)

    async def _register(self, session: Session) -> None:
        try:
            await register(self._services.tokens, session)
        except (ServiceError, SequencerUnavailable, StoreUnavailable) as error:
            # The connection stays; the reconciler registers it once the engines are back.
            log.warning("registration_postponed", conn_id=session.conn_id, reason=str(error))

    async def _sweep(self) -> None:
        """All deadlines of all connections, by one task."""
        while True:
            await trio.sleep(SWEEP_EVERY)
            now = trio.current_time()
            for number, session in enumerate(list(self.hub.sessions.values()), 1):
                session.sweep(now)
                if number % YIELD_AFTER == 0:
                    await trio.lowlevel.checkpoint()

    # -- draining ----------------------------------------------------------------------------------

    async def drain(self, code: int = 1012) -> None:
        """Stop accepting, let requests in flight be answered, close with `code`.

        1012 (service restart) says that the same address serves again soon, so that clients
        reconnect; 1001 (going away) that it does not.  Returns once all connections are closed:
        the caller sets the limit and cancels `serve` after it."""
        self._drain_code = code
        self._stop_accepting.cancel()
        for number, session in enumerate(list(self.hub.sessions.values()), 1):
            session.drain(code)
            if number % YIELD_AFTER == 0:
                await trio.lowlevel.checkpoint()
        await self._until_empty()

    async def _until_empty(self) -> None:
        while self._open:
            if self._empty.is_set():
                self._empty = trio.Event()
            await self._empty.wait()

    # -- the bus -----------------------------------------------------------------------------------

    def _on_lost_messages(self, since: float) -> None:
        self._services.on_lost_messages()
        self._watching.ask_again()
        self._reconciler.missed_since(since)

    def _on_control(self, channel: str, message: ControlMessage) -> None:
        self._services.on_control(message)
        if isinstance(message, Kick):
            self._kick(message)
        elif isinstance(message, MembershipChanged):
            user = self.hub.users.get(channel.removeprefix("u:"))
            if user is not None and channel.startswith("u:"):
                self.hub.change_membership(user, message)
        elif isinstance(message, PresenceChanged):
            self._watching.on_change(message)
        elif isinstance(message, PresenceQuery):
            self.presence.on_query(message)
        elif isinstance(message, PresenceAnswer):
            self.presence.on_answer(message)
        elif isinstance(message, WorkerGone):
            self._watching.ask_again()

    def _kick(self, kick: Kick) -> None:
        user = self.hub.users.get(kick.user_id)
        for session in kicked_by(kick, self._policy, list(user.sessions) if user else ()):
            log.info("kicked", conn_id=session.conn_id, platform=int(session.platform))
            self._metrics.kicks.inc()
            session.kick()


async def _keep_running(part: Callable[[], Awaitable[None]]) -> None:
    """A fault in one connection's or one message's handling must not end the others."""
    while True:
        try:
            await part()
        except Exception:
            log.exception("gateway_part_failed", part=getattr(part, "__qualname__", ""))
            await trio.sleep(RESTART_AFTER)
