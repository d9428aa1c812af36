"""Hypercorn's trio worker on an inherited listening socket.  It serves REST only."""

from __future__ import annotations

import logging
import socket

import hypercorn.config
import trio
from hypercorn.trio import serve
from hypercorn.typing import Framework

from openim_trio.process.listen import BACKLOG

_KEEP_ALIVE = 75.0


async def serve_http(
    app: Framework,
    sock: socket.socket,
    drain: float,
    shutdown: trio.Event,
    *,
    task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Until `shutdown`; then requests in flight have `drain` seconds.  `sock` stays the caller's
    (Hypercorn closes a duplicate)."""
    config = hypercorn.config.Config()
    config.bind = [f"fd://{sock.dup().detach()}"]
    config.backlog = BACKLOG
    config.graceful_timeout = drain
    config.keep_alive_timeout = _KEEP_ALIVE
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    await serve(app, config, shutdown_trigger=shutdown.wait, task_status=task_status)
