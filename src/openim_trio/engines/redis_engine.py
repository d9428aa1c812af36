"""The embedded Redis: append-only file, a password that changes with each start.

It is soft state: an append-only file that Redis refuses is put aside, and the program goes on
with an empty Redis, which is what it does after any loss of Redis.
"""

from __future__ import annotations

import functools
import secrets
from pathlib import Path

import redis
import structlog
import trio
from redis.backoff import NoBackoff
from redis.retry import Retry

from openim_trio.engines.data_directory import private_directory, write_private
from openim_trio.engines.ports import LOOPBACK, free_port

_log = structlog.get_logger()
_APPEND_ONLY_FILE = "appendonly.aof"
_REFUSED = "Bad file format reading the append only file"
_PROBE_SECONDS = 1.0
_LOG_TAIL = 4096


class RedisEngine:
    name = "redis"

    def __init__(self, binary: Path, directory: Path) -> None:
        self.binary = binary
        self.directory = private_directory(directory)
        self.port = free_port()
        self._password = secrets.token_urlsafe(24)

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@{LOOPBACK}:{self.port}/0"

    def use_port(self, port: int) -> None:
        self.port = port

    def command(self) -> list[str]:
        path = self.directory / "redis.conf"
        write_private(path, self._settings())
        self._log_file().unlink(missing_ok=True)
        return [str(self.binary), str(path)]

    def _settings(self) -> str:
        lines = {
            "bind": LOOPBACK,
            "port": self.port,
            "requirepass": self._password,
            "daemonize": "no",
            "dir": _quoted(self.directory),
            "logfile": _quoted(self._log_file()),
            # The command line keeps our directory's name, by which a later run knows its own.
            "set-proc-title": "no",
            "appendonly": "yes",
            "appendfilename": f'"{_APPEND_ONLY_FILE}"',
            "appendfsync": "everysec",
            "save": '""',
            "maxmemory-policy": "noeviction",
            # Above this a conversation's map of keys is a hash table: look-ups by hashing.
            "hash-max-ziplist-entries": 64,
        }
        return "".join(f"{key} {value}\n" for key, value in lines.items())

    def _log_file(self) -> Path:
        return self.directory / "redis.log"

    async def is_ready(self) -> bool:
        return await trio.to_thread.run_sync(
            functools.partial(_answers, self.port, self._password), abandon_on_cancel=True
        )

    def recover(self, output: str) -> bool:
        refused = self.directory / _APPEND_ONLY_FILE
        if _REFUSED not in self.details() or not refused.exists():
            return False
        aside = refused.with_suffix(".refused")
        refused.replace(aside)
        _log.error("redis_file_refused", file=str(refused), kept_as=str(aside))
        return True

    def details(self) -> str:
        return tail(self._log_file())


def _answers(port: int, password: str) -> bool:
    client = redis.Redis(
        LOOPBACK, port, password=password, socket_timeout=_PROBE_SECONDS,
        socket_connect_timeout=_PROBE_SECONDS, retry=Retry(NoBackoff(), 0),
    )  # fmt: skip
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False  # not up yet, or still loading its file
    finally:
        client.close()


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def tail(path: Path) -> str:
    """The end of a log file, empty when there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _LOG_TAIL))
            return file.read().decode(errors="replace").strip()
    except OSError:
        return ""
