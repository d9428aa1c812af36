"""Start the engines that are not configured, keep them running, stop them last."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator

import attrs
import structlog
import trio

from openim_trio.config.model import Config
from openim_trio.engines.binaries import Binaries
from openim_trio.engines.child import Child, end_left_behind
from openim_trio.engines.diagnosis import explain
from openim_trio.engines.engine import Engine
from openim_trio.engines.errors import EngineError
from openim_trio.engines.mongo_engine import MongoEngine
from openim_trio.engines.ports import free_port, is_free
from openim_trio.engines.redis_engine import RedisEngine

_log = structlog.get_logger()
_READY_POLL = 0.05
_START_ATTEMPTS = 3
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
_STEADY_SECONDS = 60.0
"""an engine that ran so long starts its back-off anew"""


@attrs.frozen
class Engines:
    mongo_uri: str
    redis_url: str


def with_engines(config: Config, engines: Engines) -> Config:
    """The configuration that points at the running engines."""
    return attrs.evolve(
        config,
        mongo=attrs.evolve(config.mongo, uri=engines.mongo_uri),
        redis=attrs.evolve(config.redis, url=engines.redis_url),
    )


@contextlib.asynccontextmanager
async def open_engines(config: Config, binaries: Binaries | None = None) -> AsyncIterator[Engines]:
    """Engines that answer: the configured ones, and for an empty URI an embedded one.

    The caller holds the data directory's lock.  Raises EngineError.  An embedded engine that dies
    is started again, with back-off, on the same port and files; it is stopped at exit."""
    programs = binaries or Binaries()
    root = config.data_dir.resolve()
    wanted: list[Engine] = []
    mongo_uri, redis_url = config.mongo.uri, config.redis.url
    mongo = redis = None
    if not mongo_uri:
        cache = config.engines.mongo_cache_gb
        mongo = MongoEngine(programs.mongod_path(), root / "mongo", cache)
        wanted.append(mongo)
    if not redis_url:
        redis = RedisEngine(programs.redis_path(), root / "redis")
        wanted.append(redis)
    async with contextlib.AsyncExitStack() as stack:
        runs = [_Run(engine, config) for engine in wanted]
        stack.push_async_callback(_stop_all, runs)
        await _start_all(runs)
        if mongo is not None:
            mongo_uri = mongo.uri
        if redis is not None:
            redis_url = redis.url
        async with trio.open_nursery() as nursery:
            for run in runs:
                nursery.start_soon(run.keep_running)
            yield Engines(mongo_uri, redis_url)
            nursery.cancel_scope.cancel()


async def _start_all(runs: list[_Run]) -> None:
    """Raises the first engine's EngineError."""
    errors: list[EngineError] = []

    async def start(run: _Run) -> None:
        try:
            await run.start()
        except EngineError as error:
            errors.append(error)

    async with trio.open_nursery() as nursery:
        for run in runs:
            nursery.start_soon(start, run)
    if errors:
        raise EngineError("\n".join(map(str, errors)))


async def _stop_all(runs: list[_Run]) -> None:
    with trio.CancelScope(shield=True):
        async with trio.open_nursery() as nursery:
            for run in runs:
                nursery.start_soon(run.stop)


class _Run:
    """One engine and its present process."""

    def __init__(self, engine: Engine, config: Config) -> None:
        self._engine = engine
        self._settings = config.engines
        self._child: Child | None = None
        self._pid_file = engine.directory / "pid"
        self._output = engine.directory / "output.log"

    async def start(self) -> None:
        """First start: may take another port, and repairs what can be repaired."""
        engine = self._engine
        await end_left_behind(
            engine.name, self._pid_file, engine.directory, self._settings.stop_timeout
        )
        for attempt in range(1, _START_ATTEMPTS + 1):
            try:
                await self._start_once()
                return
            except _Ended as ended:
                if attempt == _START_ATTEMPTS:
                    raise self._explained(ended) from None
                if not is_free(engine.port):
                    engine.use_port(free_port())
                elif not engine.recover(ended.output):
                    raise self._explained(ended) from None

    async def _start_once(self) -> None:
        """Raises _Ended, or EngineError when it does not answer in time."""
        engine = self._engine
        child = self._child = Child(engine.name, engine.command(), self._pid_file, self._output)
        limit = self._settings.start_timeout
        with trio.move_on_after(limit):
            while not await engine.is_ready():
                if (code := child.returncode) is not None:
                    raise _Ended(code, child.said())
                await trio.sleep(_READY_POLL)
            _log.info("engine_ready", engine=engine.name, port=engine.port, pid=child.pid)
            return
        raise EngineError(
            f"{engine.name} does not answer after {limit:g} s (engines.start_timeout)\n    "
            + (engine.details() or "it logged nothing grave")
        )

    def _explained(self, ended: _Ended) -> EngineError:
        output = "\n".join(filter(None, [ended.output, self._engine.details()]))
        return EngineError(explain(self._engine.name, self._engine.binary, ended.code, output))

    async def keep_running(self) -> None:
        """Start it again whenever it ends, until cancelled."""
        pause = _FIRST_PAUSE
        while True:
            assert self._child is not None
            started = trio.current_time()
            code = await self._child.wait()
            if trio.current_time() - started > _STEADY_SECONDS:
                pause = _FIRST_PAUSE
            while True:
                _log.error(
                    "engine_died", engine=self._engine.name, code=code, pause=round(pause, 2)
                )
                await trio.sleep(pause * random.uniform(0.75, 1.25))
                pause = min(pause * 2, _LONGEST_PAUSE)
                try:
                    await self._start_once()
                    break
                except _Ended as ended:
                    code = ended.code
                    if not self._engine.recover(ended.output):
                        _log.error("engine_not_restarted", problem=str(self._explained(ended)))
                except EngineError as error:
                    _log.error("engine_not_restarted", problem=str(error))
                    await self._child.stop(self._settings.stop_timeout)

    async def stop(self) -> None:
        if self._child is not None:
            await self._child.stop(self._settings.stop_timeout)
            _log.info("engine_stopped", engine=self._engine.name, code=self._child.returncode)


class _Ended(Exception):
    """The process ended before it answered."""

    def __init__(self, code: int, output: str) -> None:
        super().__init__(code)
        self.code = code
        self.output = output
