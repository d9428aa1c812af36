"""A worker without insides, for the supervisor's tests: it notes its orders in
`<data_dir>/<slot>.orders` and behaves as its first argument says.

good        reports ready, answers connections to the API socket with its name, drains at SIGTERM
stubborn    the same, but takes no notice of SIGTERM
unready     ends with code 3 before it is ready
brief       the first worker of each slot is good, its successors end before they are ready
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import trio

from openim_trio.config.settings import from_document
from openim_trio.process.link import SupervisorLink
from openim_trio.process.status import Draining, Ready, Start


async def main(mode: str, orders_fd: int, reports_fd: int) -> None:
    link = SupervisorLink(orders_fd, reports_fd)
    start = await link.start()
    config = from_document(start.config)
    notes = config.data_dir / f"{start.slot}.orders"
    successor = notes.exists()
    _note(notes, f"start {start.worker} {os.getpid()} secret={bool(config.auth.secret)}")
    if mode == "unready" or (mode == "brief" and successor):
        sys.exit(3)
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_answer, start)
            nursery.start_soon(_listen, link, notes, nursery.cancel_scope)
            await link.report(Ready())
            async for _ in signals:
                _note(notes, "term")
                if mode != "stubborn":
                    await link.report(Draining())
                    nursery.cancel_scope.cancel()


async def _listen(link: SupervisorLink, notes: Path, scope: trio.CancelScope) -> None:
    async for order in link.orders():
        _note(notes, repr(order))
    _note(notes, "alone")
    scope.cancel()


async def _answer(start: Start) -> None:
    listener = trio.SocketListener(
        trio.socket.from_stdlib_socket(socket.socket(fileno=start.api_fd))
    )

    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.send_all(start.worker.encode())

    await trio.serve_listeners(answer, [listener])


def _note(notes: Path, line: str) -> None:
    with notes.open("a") as file:
        file.write(line + "\n")


if __name__ == "__main__":
    trio.run(main, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
