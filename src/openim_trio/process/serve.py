"""`openim-trio serve`: everything from the checked configuration to the exit code.

Up: lock the data directory, bind, start engines, prepare the store, start workers.
Down, in reverse: workers drain and end, then the engines stop, then the lock is let go.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import attrs
import structlog
import trio

from openim_trio.config.load import ConfigError
from openim_trio.config.model import Config
from openim_trio.config.secret import with_secret
from openim_trio.config.sources import without_settings
from openim_trio.engines.data_directory import locked
from openim_trio.engines.embedded import open_engines, with_engines
from openim_trio.engines.errors import EngineError
from openim_trio.observability.logging import configure_logging
from openim_trio.process.listen import ListenError, Listeners, bound, shown_address
from openim_trio.process.prepare import PrepareError, prepare_store
from openim_trio.process.run_directory import clean
from openim_trio.process.supervisor import Supervisor, WorkersFailed

WORKER_COMMAND = (sys.executable, "-m", "openim_trio.process.worker")

_log = structlog.get_logger()
Prepare = Callable[[Config], Awaitable[None]]


def run(
    config: Config,
    command: Sequence[str] = WORKER_COMMAND,
    prepare: Prepare = prepare_store,
) -> int:
    """Serve until a signal; the exit code.  Says on stderr why it cannot start."""
    configure_logging(config.log)
    problems: list[str] = []
    try:
        trio.run(partial(_serve, config, command, prepare))
    except* (ConfigError, EngineError, ListenError, PrepareError, WorkersFailed) as group:
        problems = [str(error) for error in _leaves(group)]
    for problem in problems:
        print(f"openim-trio: {problem}", file=sys.stderr)
    return 1 if problems else 0


def _leaves(group: BaseExceptionGroup[Exception]) -> list[Exception]:
    found: list[Exception] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


async def _serve(config: Config, command: Sequence[str], prepare: Prepare) -> None:
    stop = _Stop()
    async with trio.open_nursery() as nursery:
        await nursery.start(stop.watch)
        with stop.everything:
            await _up(config, command, prepare, stop)
        nursery.cancel_scope.cancel()


async def _up(config: Config, command: Sequence[str], prepare: Prepare, stop: _Stop) -> None:
    with locked(config.data_dir) as directory, bound(config) as listeners:
        clean(directory)
        config = attrs.evolve(config, data_dir=directory, workers=worker_count(config))
        config = with_secret(config)
        async with open_engines(config) as engines:
            config = with_engines(config, engines)
            await prepare(config)
            listeners.listen()
            supervisor = Supervisor(
                config,
                listeners,
                command,
                without_settings(os.environ),
                partial(announce, listeners, config.workers),
            )
            stop.up(supervisor)
            await supervisor.run()


def worker_count(config: Config) -> int:
    """Half the cores: the engines and the kernel want the others (docs/measurements.md)."""
    return config.workers or max(1, len(os.sched_getaffinity(0)) // 2)


def announce(listeners: Listeners, workers: int) -> None:
    """The one line on stdout, for whoever waits for it."""
    gateway, api = shown_address(listeners.gateway), shown_address(listeners.api)
    try:
        print(f"ready ws={gateway} api={api} workers={workers}", flush=True)
    except OSError as error:
        _log.warning("nobody_reads_stdout", problem=str(error))
    legacy = {"legacy": shown_address(listeners.legacy)} if listeners.legacy else {}
    _log.info("ready", ws=gateway, api=api, workers=workers, **legacy)


class _Stop:
    """SIGTERM and SIGINT: the first drains (or ends the start), the second ends at once."""

    def __init__(self) -> None:
        self.everything = trio.CancelScope()
        self._supervisor: Supervisor | None = None
        self._asked = False

    def up(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    async def watch(self, *, task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            async for number in signals:
                self._signalled(signal.Signals(number).name)

    def _signalled(self, name: str) -> None:
        if self._asked:
            _log.warning("ending_at_once", signal=name)
            if self._supervisor is not None:
                self._supervisor.kill()
            # The kernel tells the engines (see engines.launcher) and lets go of the lock.
            os._exit(1)
        self._asked = True
        _log.info("stopping", signal=name)
        if self._supervisor is None:
            self.everything.cancel()
        else:
            self._supervisor.stop()
