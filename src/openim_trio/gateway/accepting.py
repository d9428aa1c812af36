"""The accept loop on a listening socket that several processes share."""

from __future__ import annotations

import errno
import resource
import socket
from collections.abc import Callable

import structlog
import trio

AT_ONCE = 8
"""connections taken a turn: the other processes that wait get theirs"""
PAUSE = 0.1
RESERVED_DESCRIPTORS = 200
"""kept free for engines, logs and whatever libraries open"""
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

log = structlog.get_logger()


def descriptor_room() -> int:
    """How many sockets this process may hold."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return 1_000_000
    return max(soft - RESERVED_DESCRIPTORS, soft // 2)


async def accept_connections(
    listen: socket.socket,
    on_connection: Callable[[socket.socket], None],
    may_accept: Callable[[], bool],
) -> None:
    """Until cancelled.  While `may_accept` says no, or descriptors ran out, connections stay in
    the kernel's queue, where another process may take them."""
    pausing = False
    while True:
        if not may_accept():
            if not pausing:
                log.warning("accepting_paused", reason="this worker is full")
            pausing = True
            await trio.sleep(PAUSE)
            continue
        pausing = False
        await trio.lowlevel.wait_readable(listen)
        error = _accept_some(listen, on_connection, may_accept)
        if error is not None:
            log.warning("accepting_paused", reason=str(error))
            await trio.sleep(PAUSE)


def _accept_some(
    listen: socket.socket,
    on_connection: Callable[[socket.socket], None],
    may_accept: Callable[[], bool],
) -> OSError | None:
    """The error that means: not now."""
    for _ in range(AT_ONCE):
        if not may_accept():
            return None
        try:
            sock, _ = listen.accept()
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno in _EXHAUSTED:
                return error
            continue  # the peer was gone before it was accepted
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        on_connection(sock)
    return None
