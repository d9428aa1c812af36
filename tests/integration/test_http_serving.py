"""Hypercorn as the REST server uses it: a client that takes nothing of its answer is cut off."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import trio
from quart import Response

from openim_trio.api.transport import bare_app
from openim_trio.config.model import ApiConfig, Config, GatewayConfig
from openim_trio.process import listen
from openim_trio.process.http_serving import serve_http

ANSWER = b"x" * (32 * 1024 * 1024)


async def test_who_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "TAKES_NOTHING_MS", 500)
    ended = trio.Event()

    async def download() -> Response:
        return Response(ANSWER)

    app = bare_app("test", 1_000)
    app.add_url_rule("/", "download", download, methods=["GET"])
    inner = app.asgi_app

    async def noting_the_end(scope: Any, receive: Any, send: Any) -> None:
        try:
            await inner(scope, receive, send)
        finally:
            if scope["type"] == "http":
                ended.set()

    app.asgi_app = noting_the_end  # type: ignore[method-assign]
    config = Config(gateway=GatewayConfig(port=0), api=ApiConfig(port=0))
    with listen.bound(config) as listeners:
        listeners.listen()
        shutdown = trio.Event()
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_http, app, listeners.api, 1.0, shutdown)
            client = socket.create_connection(listeners.api.getsockname())
            with client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                with trio.fail_after(60):
                    await ended.wait()
            shutdown.set()
