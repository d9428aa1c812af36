"""An installation for end-to-end tests: what outlives its server processes, and what is in it."""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pymongo
import redis
from pymongo.collection import Collection

from openim_trio.demo.server import SERVE, Server, running_server
from openim_trio.domain.rows import Row
from openim_trio.store.collections import Document
from openim_trio.store.row_documents import to_row
from tests.support.invariants import Facts

SECRET = "the-secret-of-the-tests-is-long-enough"


@attrs.frozen
class Site:
    """Engines, and a database, key prefix and data directory of its own."""

    mongo_uri: str
    redis_url: str
    directory: Path
    name: str = attrs.field(factory=lambda: uuid.uuid4().hex[:10])

    @property
    def database(self) -> str:
        return f"test_{self.name}"

    @property
    def prefix(self) -> str:
        return f"t{self.name}:"

    @contextmanager
    def serving(
        self,
        *,
        workers: int = 2,
        settings: dict[str, str] | None = None,
        command: Sequence[str] = SERVE,
        ports: tuple[int, int] = (0, 0),
    ) -> Iterator[Server]:
        """`settings`: "GATEWAY__OUTBOX_FRAMES" -> value, and variables of other names.  May be
        entered again after its end: everybody's token stays good.  `ports`: 0 is a free one."""
        environ = {
            "MONGO__URI": self.mongo_uri,
            "MONGO__DATABASE": self.database,
            "REDIS__URL": self.redis_url,
            "REDIS__PREFIX": self.prefix,
            "LOG__LEVEL": "info",
            "LOG__FORMAT": "json",
            **(settings or {}),
        }
        with (
            (self.directory / "log").open("a") as log,
            running_server(
                workers,
                settings={f"OPENIM_TRIO_{name}": value for name, value in environ.items()},
                directory=self.directory,
                secret=SECRET,
                log=log,
                command=command,
                ports=ports,
            ) as server,
        ):
            yield server

    # -- what is true ------------------------------------------------------------------------------

    def stored(self) -> dict[str, list[Row]]:
        """All rows of all conversations, in order."""
        found: dict[str, list[Row]] = defaultdict(list)
        client: pymongo.MongoClient[Document]
        with pymongo.MongoClient(self.mongo_uri) as client:
            rows: Collection[Document] = client[self.database]["rows"]
            for document in rows.find().sort("s", 1):
                conversation = str(document["c"])
                found[conversation].append(to_row(conversation, document["s"], document))
        return dict(found)

    def facts(self, conversation: str) -> Facts | None:
        """What Redis says of it."""
        with redis.Redis.from_url(self.redis_url) as client:
            fields = client.hgetall(f"{self.prefix}c:{conversation}")
        return Facts.parse(fields)

    # -- the log -----------------------------------------------------------------------------------

    def log(self, event: str = "") -> list[dict[str, Any]]:
        """Log lines with this event, or all."""
        lines = [json.loads(line) for line in (self.directory / "log").read_text().splitlines()]
        return [line for line in lines if not event or line["event"] == event]

    def workers_started(self) -> list[int]:
        """Process ids, in the order of their starts."""
        return [int(line["pid"]) for line in self.log("worker_started")]


def metric(server: Server, name: str, **labels: str) -> float:
    """A metric of all workers together; 0 if there is no such sample."""
    return sum(_samples(server, "/metrics", name, labels))


def metric_of_workers(server: Server, name: str, **labels: str) -> list[float]:
    """A metric of each worker that has it."""
    return _samples(server, "/metrics?by=worker", name, labels)


def _samples(server: Server, path: str, name: str, labels: dict[str, str]) -> list[float]:
    status, text = server.get(path)
    assert status == 200
    wanted = {f'{label}="{value}"' for label, value in labels.items()}
    found = []
    for line in text.decode().splitlines():
        sample, _, value = line.rpartition(" ")
        base, _, rest = sample.partition("{")
        given = {part for part in rest.rstrip("}").split(",") if part[:7] not in ("", "worker=")}
        if base == f"openim_trio_{name}" and given == wanted:
            found.append(float(value))
    return found
