"""A TCP relay in front of a server that can be pointed at another one, as a failover does."""

from __future__ import annotations

from functools import partial

import trio


class Relay:
    def __init__(self, target: int) -> None:
        self._target = target
        self._connections: set[trio.CancelScope] = set()
        self.port = 0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as nursery:
            serve = partial(trio.serve_tcp, self._relay, 0, host="127.0.0.1")
            [listener] = await nursery.start(serve)
            self.port = listener.socket.getsockname()[1]
            task_status.started()

    def switch(self, target: int) -> None:
        """New connections go there; the present ones break."""
        self._target = target
        for scope in self._connections:
            scope.cancel()

    async def _relay(self, client: trio.SocketStream) -> None:
        with trio.CancelScope() as scope:
            self._connections.add(scope)
            server = await trio.open_tcp_stream("127.0.0.1", self._target)
            async with server, trio.open_nursery() as nursery:
                nursery.start_soon(_copy, client, server, scope)
                nursery.start_soon(_copy, server, client, scope)
        self._connections.discard(scope)


async def _copy(
    source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope
) -> None:
    try:
        async for data in source:
            await sink.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    scope.cancel()
