"""The installation that is tested: engines and a server that can be broken, and put up again where
they were."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs
import psutil
from tests.support import engines
from tests.support.failover import ReplicaSet, primary_of, replica_set_of_three
from tests.support.rediskit import OwnRedis
from tests.support.site import Site

from openim_trio.demo.server import Server
from stress import figures

REDIS_OPTIONS = ("--appendonly", "yes", "--appendfsync", "everysec")
APPEND_ONLY = "appendonly.aof"
ORPHANS_LIMIT = 30.0
"""seconds within which workers notice that their supervisor has died, and end"""


@attrs.define
class Installation:
    """`mongo`: None with one member."""

    site: Site
    redis: OwnRedis
    mongo: ReplicaSet | None
    workers: int
    ports: tuple[int, int]
    _running: ExitStack = attrs.field(factory=ExitStack)
    _server: Server | None = None

    @property
    def server(self) -> Server:
        assert self._server is not None
        return self._server

    @property
    def log(self) -> Path:
        return self.site.directory / "log"

    # -- the server --------------------------------------------------------------------------------

    def start_server(self) -> None:
        serving = self.site.serving(workers=self.workers, ports=self.ports)
        self._server = self._running.enter_context(serving)

    def stop_server(self) -> None:
        self._running.close()

    def worker_processes(self) -> list[psutil.Process]:
        processes = psutil.Process(self.server.pid).children(recursive=True)
        return [process for process in processes if figures.role_of(process) == "worker"]

    def kill_supervisor(self) -> str:
        """Its workers find out by themselves; what is not gone in time is killed.  Says how that
        went."""
        workers = self.worker_processes()
        self.server.process.kill()
        self.server.process.wait()
        _, alive = psutil.wait_procs(workers, ORPHANS_LIMIT)
        for process in alive:
            process.kill()
        self.stop_server()
        return f"{len(workers)} workers, {len(alive)} had to be killed"

    # -- Redis -------------------------------------------------------------------------------------

    def redis_file(self) -> Path:
        return self.redis.directory / APPEND_ONLY

    def empty_redis(self) -> None:
        """While it is not running."""
        self.redis_file().unlink(missing_ok=True)

    def keep_redis(self) -> Path:
        """Its file as it is now.  A half written command at the end is left out when it is read."""
        kept = self.redis.directory / "kept.aof"
        shutil.copy(self.redis_file(), kept)
        return kept

    def set_redis_back(self, kept: Path) -> None:
        """While it is not running."""
        shutil.copy(kept, self.redis_file())

    # -- MongoDB -----------------------------------------------------------------------------------

    def replica_set(self) -> ReplicaSet:
        """It may have elected another primary meanwhile."""
        assert self.mongo is not None
        self.mongo.primary = primary_of(list(self.mongo.members))
        return self.mongo


@contextmanager
def installation(directory: Path, *, workers: int, members: int) -> Iterator[Installation]:
    """Running.  `members`: of the replica set, 1 or 3."""
    with ExitStack() as stack:
        mongo = None
        if members == 1:
            uri = stack.enter_context(engines.mongo_replica_set())
        else:
            mongo = stack.enter_context(replica_set_of_three())
            uri = mongo.uri
        files = stack.enter_context(engines.temporary_directory())
        redis = OwnRedis(files, engines.free_port(), REDIS_OPTIONS)
        redis.start()
        stack.callback(redis.stop)
        ports = engines.free_port(), engines.free_port()
        found = Installation(Site(uri, redis.url, directory), redis, mongo, workers, ports)
        stack.callback(found.stop_server)
        found.start_server()
        yield found
