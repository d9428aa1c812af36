"""A worker: everything it consists of is built here, in one place, and ended in reverse order.

python -m openim_trio.process.worker ORDERS_FD REPORTS_FD      (started by the supervisor)
"""

from __future__ import annotations

import contextlib
import gc
import secrets
import socket
import sys
from collections.abc import AsyncIterator
from functools import partial

import attrs
import structlog
import trio
from hypercorn.typing import Framework

from openim_trio.api.app import build_app, build_legacy_app
from openim_trio.api.health import Health
from openim_trio.append.pipeline import AppendPipeline
from openim_trio.append.ports import SequencerUnavailable, StoreUnavailable
from openim_trio.config.model import Config
from openim_trio.config.settings import from_document
from openim_trio.gateway.server import Gateway
from openim_trio.observability.exposition import dump
from openim_trio.observability.logging import configure_logging
from openim_trio.observability.metrics import Metrics
from openim_trio.process.drain import GOING_AWAY, Drain
from openim_trio.process.health import HealthChecks
from openim_trio.process.http_serving import serve_http
from openim_trio.process.link import SupervisorLink
from openim_trio.process.listen import Listeners
from openim_trio.process.peers import Peers
from openim_trio.process.run_directory import RunDirectory, run_directory
from openim_trio.process.status import CrashLoops, Draining, Gone, Order, Ready, Start
from openim_trio.redisio.bus import Bus
from openim_trio.redisio.connection import RedisConnection
from openim_trio.redisio.errors import RedisReplyError
from openim_trio.redisio.own_reads import RedisOwnReads
from openim_trio.redisio.sequencer import RedisSequencer
from openim_trio.services.control import ALL_WORKERS, WorkerGone, encode
from openim_trio.services.services import Services, build_effects, build_services
from openim_trio.store.client import Store, open_store

GC_THRESHOLDS = (50_000, 50, 100)
REST_GRACE = 5.0
"""seconds of a drain that REST requests in flight may take"""
SWITCH_INTERVAL = 0.0005
"""seconds; measured: together they halve the p99 latency at 10,000 connections"""

_log = structlog.get_logger()


@attrs.frozen
class Worker:
    """A running worker and its parts."""

    name: str
    config: Config
    metrics: Metrics
    store: Store
    bus: Bus
    pipeline: AppendPipeline
    services: Services
    gateway: Gateway
    health: HealthChecks
    peers: Peers
    _http_shutdown: trio.Event
    _http_ended: list[trio.Event]

    async def drain(self, code: int = GOING_AWAY) -> None:
        """Accept nothing more, answer what was accepted, close connections with `code`.  The
        caller sets the limit."""
        self.health.draining()
        self._http_shutdown.set()
        await self.gateway.drain(code)
        with trio.move_on_after(REST_GRACE):
            for ended in self._http_ended:
                await ended.wait()  # a request that was accepted may be about to append
        self.pipeline.close()
        await self.pipeline.drain()
        try:
            await self.services.own_reads.write()
        except StoreUnavailable as error:
            _log.warning("own_reads_not_written", reason=str(error))

    async def on_order(self, order: Order) -> None:
        if isinstance(order, Gone):
            try:
                await self.bus.publish(ALL_WORKERS, encode(WorkerGone(order.worker)))
            except SequencerUnavailable as error:
                # Whoever listens asks anew when the bus is back.
                _log.warning("worker_gone_not_told", gone=order.worker, reason=str(error))
        elif isinstance(order, CrashLoops):
            self.health.crash_loops(order.slots)


@contextlib.asynccontextmanager
async def open_worker(
    config: Config, listeners: Listeners, name: str = ""
) -> AsyncIterator[Worker]:
    """A worker that accepts.  `config` names running engines and `prepare_store` was called;
    `listeners` are listening and stay the caller's.

    It starts without its engines too, and works when they come."""
    name = name or f"w-{secrets.token_hex(4)}"
    metrics = Metrics()
    async with contextlib.AsyncExitStack() as stack:
        directory = stack.enter_context(run_directory(config.data_dir))
        store = await stack.enter_async_context(open_store(config.mongo, metrics))
        redis = RedisConnection(config.redis, metrics)
        bus = Bus(config.redis, metrics)
        # Nurseries end in reverse: front, append path, connections.
        connections = await stack.enter_async_context(_nursery())
        appending = await stack.enter_async_context(_nursery())
        front = await stack.enter_async_context(_nursery())
        worker = _build(config, name, metrics, store, redis, bus, directory)
        await connections.start(redis.run)
        await connections.start(bus.run)
        await appending.start(worker.services.own_reads.run)
        await appending.start(worker.pipeline.run)
        await front.start(worker.peers.serve)
        await _serve(front, worker, listeners)
        yield worker


@contextlib.asynccontextmanager
async def _nursery() -> AsyncIterator[trio.Nursery]:
    """Its tasks are cancelled when the block ends."""
    async with trio.open_nursery() as nursery:
        yield nursery
        nursery.cancel_scope.cancel()


def _build(
    config: Config,
    name: str,
    metrics: Metrics,
    store: Store,
    redis: RedisConnection,
    bus: Bus,
    directory: RunDirectory,
) -> Worker:
    effects = build_effects(store, bus, RedisOwnReads(redis, config.redis.prefix))
    sequencer = RedisSequencer(
        redis, config.append, config.redis.prefix, lambda: pipeline.server_changed()
    )
    pipeline = AppendPipeline(sequencer, store.rows, effects, config.append, metrics)
    services = build_services(
        store, pipeline, pipeline.heads, bus, config, metrics, effects=effects
    )
    gateway = Gateway(config, services, bus, metrics, name)
    services.set_presence(gateway.presence)
    return Worker(
        name=name,
        config=config,
        metrics=metrics,
        store=store,
        bus=bus,
        pipeline=pipeline,
        services=services,
        gateway=gateway,
        health=HealthChecks({"mongo": store.ping, "redis": partial(_ping_redis, redis, bus)}),
        peers=Peers(directory, name, partial(dump, metrics.registry)),
        http_shutdown=trio.Event(),
        http_ended=[],
    )


async def _serve(front: trio.Nursery, worker: Worker, listeners: Listeners) -> None:
    config = worker.config
    health = Health(worker.health.engines, worker.peers.exposition)
    app = build_app(worker.services, config, worker.metrics, health)
    await front.start(worker.gateway.serve, listeners.gateway)
    await front.start(_serve_http, worker, app, listeners.api)
    if listeners.legacy is not None:
        legacy = build_legacy_app(worker.services, config, worker.metrics)
        await front.start(_serve_http, worker, legacy, listeners.legacy)


async def _serve_http(
    worker: Worker,
    app: Framework,
    sock: socket.socket,
    *,
    task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED,
) -> None:
    ended = trio.Event()
    worker._http_ended.append(ended)
    try:
        await serve_http(
            app, sock, worker.config.drain, worker._http_shutdown, task_status=task_status
        )
    finally:
        ended.set()


async def _ping_redis(redis: RedisConnection, bus: Bus) -> None:
    try:
        await redis.call("PING")
    except RedisReplyError as error:
        raise SequencerUnavailable(str(error)) from error
    if not bus.healthy:
        raise SequencerUnavailable("the subscription is lost")


# -- the process -----------------------------------------------------------------------------------


async def _run(orders_fd: int, reports_fd: int) -> None:
    link = SupervisorLink(orders_fd, reports_fd)
    start = await link.start()
    config = from_document(start.config)
    configure_logging(config.log, start.worker)
    drain = Drain()
    listeners = inherited(start)
    async with trio.open_nursery() as nursery:
        await nursery.start(drain.watch_signals)
        async with open_worker(config, listeners, start.worker) as worker:
            nursery.start_soon(_follow, link, worker, drain)
            gc.collect()
            gc.freeze()
            await link.report(Ready())
            await drain.requested.wait()
            await link.report(Draining())
            nursery.start_soon(_refuse, worker, listeners)
            with trio.move_on_after(config.drain) as limit:
                await worker.drain()
            if limit.cancelled_caught:
                _log.warning("drain_cut_short", connections=worker.gateway.connections)
        nursery.cancel_scope.cancel()


async def _follow(link: SupervisorLink, worker: Worker, drain: Drain) -> None:
    async for order in link.orders():
        await worker.on_order(order)
    drain.request("the supervisor has ended")


async def _refuse(worker: Worker, listeners: Listeners) -> None:
    """Once every process has let go of a listening socket, whoever connects is refused at once
    instead of waiting for nobody."""
    await worker.gateway.stopped_accepting.wait()
    listeners.close()


def inherited(start: Start) -> Listeners:
    def take(fd: int) -> socket.socket:
        sock = socket.socket(fileno=fd)
        sock.setblocking(False)
        return sock

    legacy = take(start.legacy_fd) if start.legacy_fd >= 0 else None
    return Listeners(take(start.gateway_fd), take(start.api_fd), legacy)


def main() -> None:
    gc.set_threshold(*GC_THRESHOLDS)
    sys.setswitchinterval(SWITCH_INTERVAL)
    orders_fd, reports_fd = map(int, sys.argv[1:3])
    try:
        trio.run(_run, orders_fd, reports_fd)
    except Exception:
        _log.exception("worker_failed")
        sys.exit(1)


if __name__ == "__main__":
    main()
