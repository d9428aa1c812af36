"""Keeps N workers running until it is told to stop.

A worker that dies is replaced, after a pause that grows with its deaths, while the others go on.
One of them is told, so that it can tell whoever cared about the dead one.
"""

from __future__ import annotations

import random
import secrets
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import structlog
import trio

from openim_trio.config.model import Config
from openim_trio.config.settings import to_document
from openim_trio.process.child import WorkerProcess
from openim_trio.process.listen import Listeners
from openim_trio.process.restarts import WINDOW, Restarts
from openim_trio.process.status import CrashLoops, Gone, Order, Ready, Report, Start

_log = structlog.get_logger()
_DRAIN_GRACE = 5.0
"""seconds beyond `drain` for closing connections and engines' clients, before a worker is killed"""


class WorkersFailed(Exception):
    """No worker gets up at all: the program had better end and say so."""


class Supervisor:
    def __init__(
        self,
        config: Config,
        listeners: Listeners,
        command: Sequence[str],
        environ: Mapping[str, str],
        on_ready: Callable[[], None],
    ) -> None:
        """`command` starts a worker; two descriptors (orders, reports) are added to it.
        `on_ready` is called once, when every slot had a worker that accepts."""
        self._config = config
        self._listeners = listeners
        self._command = command
        self._environ = environ
        self._on_ready = on_ready
        self._slots = config.workers
        self._running: dict[int, WorkerProcess] = {}
        self._ready_once: set[int] = set()
        self._looping: set[int] = set()
        self._stopping = trio.Event()
        self._untold: list[str] = []
        """workers that died when no other was there to tell the world"""

    async def run(self) -> None:
        """Until `stop`; then returns when all workers have ended.  Raises WorkersFailed."""
        async with trio.open_nursery() as nursery:
            async with trio.open_nursery() as workers:
                for slot in range(self._slots):
                    workers.start_soon(self._keep, slot)
                nursery.start_soon(self._stop_in_time, workers.cancel_scope)
            nursery.cancel_scope.cancel()

    def stop(self) -> None:
        """Drain all workers.  Idempotent."""
        self._stopping.set()

    def kill(self) -> None:
        """End all workers at once."""
        for worker in self._running.values():
            worker.signal(signal.SIGKILL)

    # -- one slot ----------------------------------------------------------------------------------

    async def _keep(self, slot: int) -> None:
        restarts = Restarts(random.Random())
        while not self._stopping.is_set():
            await self._live(slot, restarts)
            if self._stopping.is_set():
                return
            pause = restarts.died(trio.current_time())
            _log.info("worker_restarts", slot=slot, pause=round(pause, 2))
            self._note_loop(slot, restarts)
            with trio.move_on_after(pause):
                await self._stopping.wait()

    async def _live(self, slot: int, restarts: Restarts) -> None:
        """One worker from its start to its end."""
        try:
            worker = self._spawn(slot)
        except OSError as error:  # no memory, no descriptors, no processes left
            _log.error("worker_not_started", slot=slot, problem=str(error))
            return
        try:
            code = await self._attend(slot, worker, restarts)
        finally:
            self._running.pop(slot, None)
            await worker.close()
        if self._stopping.is_set():
            _log.info("worker_ended", slot=slot, worker=worker.worker, code=code)
            return
        _log.error("worker_died", slot=slot, worker=worker.worker, code=code)
        self._tell_one(Gone(worker.worker))

    def _spawn(self, slot: int) -> WorkerProcess:
        name = f"w{slot}-{secrets.token_hex(4)}"
        listeners = self._listeners
        fds = [sock.fileno() for sock in listeners.all()]
        worker = WorkerProcess(self._command, self._environ, name, fds)
        legacy = listeners.legacy.fileno() if listeners.legacy else -1
        gateway, api = listeners.gateway.fileno(), listeners.api.fileno()
        worker.order(Start(name, slot, gateway, api, legacy, to_document(self._config)))
        while self._untold:
            worker.order(Gone(self._untold.pop()))
        if self._looping:
            worker.order(CrashLoops(tuple(sorted(self._looping))))
        self._running[slot] = worker
        _log.info("worker_started", slot=slot, worker=name, pid=worker.pid)
        return worker

    async def _attend(self, slot: int, worker: WorkerProcess, restarts: Restarts) -> int:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._calm, slot, restarts)
            code = await worker.run(partial(self._reported, slot))
            nursery.cancel_scope.cancel()
        return code

    async def _calm(self, slot: int, restarts: Restarts) -> None:
        """A worker that lives through a whole window ends its slot's crash loop."""
        if slot in self._looping:
            await trio.sleep(WINDOW)
            self._note_loop(slot, restarts)

    def _reported(self, slot: int, report: Report) -> None:
        if isinstance(report, Ready):
            before = len(self._ready_once)
            self._ready_once.add(slot)
            if before < self._slots == len(self._ready_once):
                self._on_ready()

    def _note_loop(self, slot: int, restarts: Restarts) -> None:
        looping = restarts.looping(trio.current_time())
        if looping and slot not in self._ready_once:
            raise WorkersFailed(
                f"worker {slot} ended again and again before it was ready; the log says why"
            )
        if looping == (slot in self._looping):
            return
        if looping:
            self._looping.add(slot)
            _log.error("worker_crash_loop", slot=slot)
        else:
            self._looping.discard(slot)
            _log.info("worker_crash_loop_over", slot=slot)
        self._tell_all(CrashLoops(tuple(sorted(self._looping))))

    def _tell_one(self, order: Gone) -> None:
        """One of the others, which tells everybody through the bus."""
        if self._running:
            next(iter(self._running.values())).order(order)
        else:
            self._untold.append(order.worker)

    def _tell_all(self, order: Order) -> None:
        for worker in self._running.values():
            worker.order(order)

    # -- the end -----------------------------------------------------------------------------------

    async def _stop_in_time(self, workers: trio.CancelScope) -> None:
        """SIGTERM to all; whoever is not done in time is killed (`WorkerProcess.close` does)."""
        await self._stopping.wait()
        for worker in self._running.values():
            worker.signal(signal.SIGTERM)
        self._listeners.close()  # and the workers close theirs: who connects now is refused
        await trio.sleep(self._config.drain + _DRAIN_GRACE)
        _log.error("drain_too_long", workers=[w.worker for w in self._running.values()])
        workers.cancel()
