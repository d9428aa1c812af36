"""Room in a bounded queue, given out in the order in which it was asked for."""

from __future__ import annotations

import trio


class Room:
    def __init__(self, size: int) -> None:
        self._free = size
        self._lot = trio.lowlevel.ParkingLot()
        self._unlimited = False

    def try_enter(self) -> bool:
        if self._unlimited or (self._free > 0 and not self._lot):
            self._free -= 1
            return True
        return False

    async def enter(self) -> None:
        """Wait for a place.  Not a checkpoint while there is one: the caller has just read from a
        socket."""
        if not self.try_enter():
            await self._lot.park()  # the place is handed over by `leave`

    def leave(self) -> None:
        if self._lot:
            self._lot.unpark()
        else:
            self._free += 1

    def open_wide(self) -> None:
        """Nobody waits any more (the queue is closed and refuses those who come)."""
        self._unlimited = True
        self._free -= len(self._lot)
        self._lot.unpark_all()
