"""The server's time, as well as this client can know it."""

from __future__ import annotations

from collections.abc import Callable

import trio


class ServerClock:
    """Sends carry the server's time and not this device's, whose clock may be wrong: the server
    refuses a createTime that is far from its own.  Until the server has said what time it is, the
    device's clock has to do."""

    def __init__(self, device: Callable[[], int]) -> None:
        self._device = device
        self._told = 0
        self._told_at = 0.0

    def told(self, server_time: int) -> None:
        """Unix ms, just now; 0: it did not say."""
        if server_time:
            self._told, self._told_at = server_time, trio.current_time()

    def now(self) -> int:
        """Unix ms."""
        if not self._told:
            return self._device()
        return self._told + int((trio.current_time() - self._told_at) * 1000)
