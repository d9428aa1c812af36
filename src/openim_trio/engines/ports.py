"""Loopback ports for the engines."""

from __future__ import annotations

import random
import socket

LOOPBACK = "127.0.0.1"
_RANGE = range(20_000, 30_000)
"""Below the range from which the kernel takes ports of outgoing connections, so that a port which
is used again at the next start is seldom taken by chance."""
_ATTEMPTS = 200


def is_free(port: int) -> bool:
    with socket.socket() as sock:
        # As the engines do: a port whose old connections still linger can be listened on again.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((LOOPBACK, port))
            sock.listen(1)
        except OSError:
            return False
    return True


def free_port() -> int:
    for _ in range(_ATTEMPTS):
        if is_free(port := random.choice(_RANGE)):
            return port
    with socket.socket() as sock:
        sock.bind((LOOPBACK, 0))
        any_port: int = sock.getsockname()[1]
        return any_port
