"""How many requests are worked on at a time.

A request may be as large as `api.max_body`, so their number bounds the memory: in a worker,
`WORKING` are read and worked on, `WAITING` more wait for their turn, unread, and whoever comes
then, or waits longer than `PATIENCE` seconds, is told to come again.  GET requests (health,
metrics, the API document) are small and never wait.
"""

from __future__ import annotations

import trio
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope
from quart_trio import QuartTrio

from openim_trio.api import envelope
from openim_trio.domain.errors import Code, ServiceError
from openim_trio.observability.metrics import Metrics

WORKING = 256
WAITING = 2_000
PATIENCE = 10.0

_REFUSAL = ServiceError(Code.DATABASE, "too many requests at once; try again", retriable=True)


def limit_requests(app: QuartTrio, metrics: Metrics) -> None:
    app.asgi_app = AtOnce(app.asgi_app, metrics)  # type: ignore[method-assign]


class AtOnce:
    def __init__(self, app: ASGIFramework, metrics: Metrics) -> None:
        self._app = app
        self._places = trio.Semaphore(WORKING)
        self._refused = metrics.rest_requests.labels("(too many)", str(int(_REFUSAL.code)))

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
        elif not await self._enter():
            self._refused.inc()
            await _refuse(send)
        else:
            try:
                await self._app(scope, receive, send)
            finally:
                self._places.release()

    async def _enter(self) -> bool:
        if self._places.statistics().tasks_waiting >= WAITING:
            return False
        with trio.move_on_after(PATIENCE) as limit:
            await self._places.acquire()
        return not limit.cancelled_caught


async def _refuse(send: ASGISendCallable) -> None:
    body = envelope.failure(_REFUSAL)
    headers = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"access-control-allow-origin", b"*"),
    ]
    await send(
        {"type": "http.response.start", "status": 200, "headers": headers, "trailers": False}
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})
