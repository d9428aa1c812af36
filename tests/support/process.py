"""A server process on engines that a fixture started."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from openim_trio.demo.server import Server, running_server


@contextmanager
def server_on(
    mongo_uri: str, redis_url: str, *, workers: int = 1, settings: dict[str, str] | None = None
) -> Iterator[Server]:
    """Run `openim-trio serve` against these engines, with a database and key prefix of its own."""
    name = uuid.uuid4().hex[:10]
    with running_server(
        workers,
        settings={
            "OPENIM_TRIO_MONGO__URI": mongo_uri,
            "OPENIM_TRIO_MONGO__DATABASE": f"test_{name}",
            "OPENIM_TRIO_REDIS__URL": redis_url,
            "OPENIM_TRIO_REDIS__PREFIX": f"t{name}:",
            **(settings or {}),
        },
    ) as server:
        yield server
