"""Workers of a server: the real services, pipeline and gateway, on engines, a bus and connections
in memory.  Only sockets, engines and the signature of tokens are not the real ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import urlencode

import attrs
import trio

from openim_trio.append.pipeline import AppendPipeline
from openim_trio.append.ports import SequencerUnavailable
from openim_trio.client.errors import ClientError, NotConnected
from openim_trio.client.link import Identity, refusal
from openim_trio.client.settings import Settings
from openim_trio.config.model import AppendConfig, AuthConfig, Config, GatewayConfig
from openim_trio.domain.actors import Actor
from openim_trio.domain.errors import ServiceError
from openim_trio.domain.platforms import Platform
from openim_trio.domain.records import TokenRecord, TokenState
from openim_trio.gateway import handshake, server
from openim_trio.gateway.admission import Admitted
from openim_trio.gateway.http_upgrade import UpgradeRequest
from openim_trio.gateway.server import Gateway
from openim_trio.gateway.transports.base import TransportContext
from openim_trio.observability.metrics import Metrics
from openim_trio.services import tokens
from openim_trio.services.services import Services, build_effects, build_services
from openim_trio.services.tokens import TokenService, token_hash
from openim_trio.store.client import Store
from openim_trio.wire.proto import sdkws_pb2
from tests.simulation.bus import Broker, SimulatedBus
from tests.simulation.calls import CalledRows, CalledSequencer, Engine, Life, Remote, Weather
from tests.simulation.determinism import Course
from tests.simulation.engines import WatchedSequencer
from tests.simulation.network import Connection, Net, SimulatedTransport
from tests.simulation.store import Groups, MemoryStore, OwnReadNotes, StoredRows, Users

FOR_EVER = 2**40
METRICS = Metrics()


def token_of(user_id: str, platform: Platform) -> str:
    return f"{user_id}:{int(platform)}"


class Tokens(TokenService):
    """Without a signature, whose dates would be compared with real time."""

    def _decode(self, token: str) -> Any:
        user_id, _, platform = token.partition(":")
        return tokens._Claims(user_id, Platform(int(platform)), FOR_EVER)


class Backend:
    """Engines and everything that workers share."""

    def __init__(
        self,
        course: Course,
        nursery: trio.Nursery,
        users: Sequence[str],
        groups: Mapping[str, Sequence[str]],
    ) -> None:
        rng = course.rng
        self.course = course
        self.nursery = nursery
        self.weather = Weather.drawn(course)
        self.net = Net.drawn(course)
        self.config = Config(
            append=AppendConfig(
                flush_ms=rng.choice((1, 10)),
                batch=rng.choice((2, 200)),
                deadline=rng.choice((0.7, 3.0)),
                lease_ms=rng.choice((1, 300)),
                window_rows=rng.choice((1, 3, 256)),
            ),
            gateway=GatewayConfig(
                read_timeout=6.0,
                handshake_timeout=3.0,
                outbox_frames=rng.choice((4, 256)),
                sends_in_flight=rng.choice((1, 64)),
            ),
            auth=AuthConfig(secret="simulated"),
        )
        self.broker = Broker()
        self.rows = StoredRows()
        self.store = MemoryStore(self.rows, Users(users), Groups(groups))
        self.sequencer = WatchedSequencer(course, self.config.append, self.rows)
        self.sequencer.on_publish = self.broker.publish
        self.notes = OwnReadNotes()
        self.redis = Engine(course, self.weather, nursery)
        self.mongo = Engine(course, self.weather, nursery)
        self.workers: list[Worker] = []
        self.crashes = 0
        self._names = iter(range(1, 1_000))

    def issue(self, user_id: str, platform: Platform) -> str:
        token = token_of(user_id, platform)
        self.store.tokens.add(
            TokenRecord(token_hash(token), user_id, int(platform), TokenState.NORMAL, 0, FOR_EVER)
        )
        return token

    async def start_worker(self) -> None:
        worker = Worker(self, Life(f"w{next(self._names)}"))
        await self.nursery.start(worker.run)
        self.workers.append(worker)

    def crash(self, worker: Worker) -> None:
        """The process or the whole machine: connections end with or without a sign."""
        self.course.note(f"{worker.life.name} crashes")
        self.crashes += 1
        self.workers.remove(worker)
        worker.crash()

    async def touch(self) -> None:
        """As the next append to each conversation does."""
        [worker, *_] = self.workers
        for name in self.rows.conversations:
            await worker.pipeline.catch_up(name, len(self.rows.all(name)))

    # -- Redis

    def lose_redis(self) -> None:
        """Its data is gone, or back to what it was; connections to it break."""
        for worker in self.workers:
            self.nursery.start_soon(worker.lose_bus, self.course.rng.random())
            self.nursery.start_soon(worker.notice_server, self.course.rng.random())

    def wipe(self) -> None:
        self.course.note("redis is wiped")
        self.sequencer.wipe()
        self.notes.notes.clear()
        self.lose_redis()


class Worker:
    def __init__(self, backend: Backend, life: Life) -> None:
        self.life = life
        self.connections: dict[Connection, None] = {}
        self._backend = backend
        course, config = backend.course, backend.config
        redis, mongo = backend.redis, backend.mongo
        self.bus = SimulatedBus(life, redis, backend.broker, course)
        self.bus.slow = course.rng.choice((0.0, 0.01, 0.5))
        store = cast(Store, _as_seen_by(life, mongo, backend.store))
        notes = Remote(life, redis, backend.notes, SequencerUnavailable)
        effects = build_effects(store, self.bus, cast(Any, notes))
        self.pipeline = AppendPipeline(
            CalledSequencer(life, redis, backend.sequencer),
            CalledRows(life, mongo, backend.rows, course),
            effects,
            config.append,
            METRICS,
            now_ms=course.now_ms,
        )
        services = build_services(
            store, self.pipeline, self.pipeline.heads, self.bus, config, METRICS, effects=effects
        )
        real = services.tokens
        simulated = Tokens(real._tokens, real._users, config.auth, real._announcer)
        self.services: Services = attrs.evolve(services, tokens=simulated)
        self.gateway = Gateway(config, self.services, self.bus, METRICS, life.name)

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        with self.life.scope:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                gateway = self.gateway
                self._context = TransportContext(
                    self._backend.config.gateway, METRICS, gateway._flusher, nursery
                )
                nursery.start_soon(self.bus.run)
                nursery.start_soon(self.pipeline.run)
                nursery.start_soon(self.services.own_reads.run)
                for part in gateway._parts():
                    nursery.start_soon(server._keep_running, part)
                await gateway._listen_for_workers()
                task_status.started()
                await trio.sleep_forever()

    def crash(self) -> None:
        told = self._backend.course.rng.random() < 0.5
        self.life.crash()
        for connection in list(self.connections):
            connection.cut("as its worker crashes", client_told=told)

    async def lose_bus(self, seconds: float) -> None:
        self.bus.lose()
        await trio.sleep(seconds)
        self.bus.restore()

    async def notice_server(self, after: float) -> None:
        await trio.sleep(after)
        if self.life.alive:
            self.pipeline.server_changed()

    # -- connections

    async def connect(self, connection: Connection, settings: Settings, identity: Identity) -> None:
        """The handshake, from the client's side.  Raises as `link.dial`."""
        answered = trio.Event()
        answers: list[ClientError | None] = []
        request = UpgradeRequest(_query(settings, identity), "", "", b"", b"")

        async def serve() -> None:
            args, outcome = await self.gateway._admission._check(request, self._context)
            if isinstance(outcome, ServiceError):
                answers.append(refusal(200, handshake.answer(outcome)))
                answered.set()
                return
            assert args is not None
            actor, user = outcome
            transport = SimulatedTransport(connection, self._context, self.life)
            if connection.is_cut:
                transport.abort()
            connection.link.server_time = self._backend.course.now_ms()
            self.connections[connection] = None
            answers.append(None)
            answered.set()
            try:
                await self.gateway._session(Admitted(args, actor, user, transport))
            finally:
                self.connections.pop(connection, None)

        if not self.life.alive:
            raise NotConnected("nobody listens")
        self._nursery.start_soon(serve)
        with trio.move_on_after(settings.connect_timeout):
            await answered.wait()
        if not answers:
            raise NotConnected("no answer to the handshake")
        if answers[0] is not None:
            raise answers[0]

    async def arrives_late(self, message: sdkws_pb2.MsgData, platform: Platform) -> None:
        """An old transmission of a send that some worker only handles now."""
        actor = Actor(
            message.sendID, platform, False, token_hash(token_of(message.sendID, platform))
        )
        self._backend.course.note(f"{self.life.name}: {message.clientMsgID} arrives once more")
        await self.services.sending.submit(message, actor, "late", lambda outcome: None)


def _query(settings: Settings, identity: Identity) -> str:
    """As `client.link.dial` asks."""
    return urlencode(
        {
            "sendID": identity.user_id,
            "token": identity.token,
            "platformID": int(settings.platform),
            "operationID": "simulated",
            "isBackground": "false",
            "compression": "gzip",
            "extension": "1",
        }
    )


def _as_seen_by(life: Life, mongo: Engine, store: MemoryStore) -> MemoryStore:
    names = [field.name for field in attrs.fields(MemoryStore)]
    return MemoryStore(**{n: Remote(life, mongo, getattr(store, n)) for n in names})  # type: ignore[arg-type]
