"""The listening sockets: bound by the supervisor, inherited by the workers, which all accept from
them; a worker that is full stops accepting and the others go on."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import attrs

from openim_trio.config.model import Config

BACKLOG = 4096
TAKES_NOTHING_MS = 30_000
"""A REST client that takes nothing of its answer for so long is cut off, by the kernel: Hypercorn
waits for it without a limit.  The gateway has its own (`gateway.write_timeout`)."""


class ListenError(Exception):
    """An address cannot be listened on."""


@attrs.frozen
class Listeners:
    gateway: socket.socket
    api: socket.socket
    legacy: socket.socket | None

    def all(self) -> list[socket.socket]:
        return [self.gateway, self.api, *([self.legacy] if self.legacy else [])]

    def listen(self) -> None:
        for sock in self.all():
            sock.listen(BACKLOG)

    def close(self) -> None:
        """This process' hold on them."""
        for sock in self.all():
            sock.close()


@contextlib.contextmanager
def bound(config: Config) -> Iterator[Listeners]:
    """Bound, not yet listening.  Raises ListenError that names the setting."""
    with contextlib.ExitStack() as stack:

        def bind(key: str, port: int) -> socket.socket:
            return stack.enter_context(_bind(config.host, port, key))

        legacy = config.api.legacy_port
        yield Listeners(
            bind("gateway.port", config.gateway.port),
            _cutting_off(bind("api.port", config.api.port)),
            _cutting_off(bind("api.legacy_port", legacy)) if legacy else None,
        )


def _bind(host: str, port: int, key: str) -> socket.socket:
    try:
        found = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise ListenError(f"host {host}: {error.strerror}") from error
    family, kind, protocol, _, address = found[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and address[0] == "::":
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(address)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise ListenError(f"{host}:{port} ({key}): {error.strerror}") from error
    return sock


def _cutting_off(sock: socket.socket) -> socket.socket:
    """Accepted connections have the limit from their listening socket."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TAKES_NOTHING_MS)
    return sock


def shown_address(sock: socket.socket) -> str:
    """HOST:PORT, as for a URL."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
