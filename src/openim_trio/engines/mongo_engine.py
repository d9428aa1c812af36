"""The embedded MongoDB: a replica set of one member, so that majority, journal and read concern
mean what they mean in production.

The replica set's configuration, which is in the database, names the member's port.  The port is
therefore kept in `state.json` and used again; when it is taken, another one is used and the
configuration is forced onto it, which is safe for a set with one member and a name of its own.
"""

from __future__ import annotations

import functools
import secrets
from pathlib import Path

import pymongo
import structlog
import trio
from pymongo.errors import OperationFailure, PyMongoError

from openim_trio.engines.data_directory import private_directory, read_state, write_state
from openim_trio.engines.errors import EngineError
from openim_trio.engines.ports import LOOPBACK, free_port, is_free
from openim_trio.engines.redis_engine import tail

_log = structlog.get_logger()
_NOT_YET_INITIALIZED = 94
_PROBE_MS = 2000
_LARGEST_LOG = 16 * 1024 * 1024
_OPLOG_MIB = 990


class MongoEngine:
    name = "mongod"

    def __init__(self, binary: Path, directory: Path, cache_gb: float) -> None:
        self.binary = binary
        self.directory = private_directory(directory)
        self._cache_gb = cache_gb
        state = read_state(self._state_file())
        self._set_name: str = state.get("replica_set") or f"oit-{secrets.token_hex(4)}"
        self.port: int = state.get("port") or free_port()
        if not state and any((self.directory / "db").glob("*.wt")):
            raise EngineError(
                f"{self._state_file()} is missing beside a database; put it back, "
                "or move the directory away to start with an empty one"
            )
        if not is_free(self.port):
            taken, self.port = self.port, free_port()
            _log.warning("engine_port_taken", engine=self.name, taken=taken, instead=self.port)

    @property
    def uri(self) -> str:
        return f"mongodb://{LOOPBACK}:{self.port}/?replicaSet={self._set_name}"

    def use_port(self, port: int) -> None:
        self.port = port

    def command(self) -> list[str]:
        write_state(self._state_file(), {"port": self.port, "replica_set": self._set_name})
        database = private_directory(self.directory / "db")
        self._put_log_aside()
        return [
            str(self.binary),
            "--dbpath", str(database),
            "--logpath", str(self._log_file()), "--logappend", "--quiet",
            "--bind_ip", LOOPBACK, "--port", str(self.port), "--nounixsocket",
            "--replSet", self._set_name, "--oplogSize", str(_OPLOG_MIB),
            "--wiredTigerCacheSizeGB", str(self._cache_gb),
            "--setParameter", "diagnosticDataCollectionEnabled=false",
            # There is no other member that a leaving primary should wait for.
            "--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100",
        ]  # fmt: skip

    def _put_log_aside(self) -> None:
        log = self._log_file()
        if log.exists() and log.stat().st_size > _LARGEST_LOG:
            log.replace(log.with_suffix(".log.1"))

    def _state_file(self) -> Path:
        return self.directory / "state.json"

    def _log_file(self) -> Path:
        return self.directory / "mongod.log"

    async def is_ready(self) -> bool:
        return await trio.to_thread.run_sync(
            functools.partial(_step_towards_primary, self.port, self._set_name),
            abandon_on_cancel=True,
        )

    def recover(self, output: str) -> bool:
        return False

    def details(self) -> str:
        """Its errors ("s":"E") and what ended it ("s":"F")."""
        lines = tail(self._log_file()).splitlines()
        return "\n".join(line for line in lines if '"s":"E"' in line or '"s":"F"' in line)


def _step_towards_primary(port: int, set_name: str) -> bool:
    """Do the next thing that is needed; true once the member is a writable primary."""
    client: pymongo.MongoClient[dict[str, object]] = pymongo.MongoClient(
        LOOPBACK, port, directConnection=True, serverSelectionTimeoutMS=_PROBE_MS,
        connectTimeoutMS=_PROBE_MS, socketTimeoutMS=_PROBE_MS, retryReads=False,
        retryWrites=False,
    )  # fmt: skip
    try:
        return _primary_at(client, f"{LOOPBACK}:{port}", set_name)
    except PyMongoError:
        return False  # not up yet, or between two states
    finally:
        client.close()


def _primary_at(client: pymongo.MongoClient[dict[str, object]], host: str, set_name: str) -> bool:
    hello = client.admin.command("hello")
    if hello.get("isWritablePrimary"):
        return bool(hello.get("me") == host)
    try:
        config = client.admin.command("replSetGetConfig")["config"]
    except OperationFailure as error:
        if error.code != _NOT_YET_INITIALIZED:
            raise
        members = [{"_id": 0, "host": host}]
        client.admin.command("replSetInitiate", {"_id": set_name, "members": members})
        return False
    if config["members"][0]["host"] != host:
        config["members"] = [{**config["members"][0], "host": host}]
        config["version"] += 1
        client.admin.command("replSetReconfig", config, force=True)
    return False
