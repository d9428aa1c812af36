"""Which channels are wanted, which of them Redis has confirmed, and who waits for it.

No I/O: commands out (`take_commands`), confirmations in.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

import attrs
import trio

CHANNELS_PER_COMMAND = 1_000


@attrs.define(slots=True, eq=False)
class _Waiter:
    missing: int
    done: trio.Event = attrs.field(factory=trio.Event)


class Subscriptions:
    """The queue of changes is bounded by the callers: each change belongs to a session that comes
    or goes.  Without a connection nothing is queued; a new one starts from `wanted`."""

    def __init__(self) -> None:
        self.wanted: dict[bytes, None] = {}
        self._confirmed: set[bytes] = set()
        self._asked: dict[bytes, int] = {}  # SUBSCRIBE commands sent and not yet confirmed
        self._waiters: dict[bytes, list[_Waiter]] = {}
        self._changes: list[tuple[bytes, bytes]] = []
        self._restoring: set[bytes] = set()
        self._live = False

    # -- the connection ----------------------------------------------------------------------------

    def connected(self) -> list[tuple[bytes, ...]]:
        """A new connection: the commands that subscribe to everything wanted."""
        self._live = True
        self._asked = dict.fromkeys(self.wanted, 1)
        self._restoring = set(self.wanted)
        return _commands(b"SUBSCRIBE", list(self.wanted))

    def disconnected(self) -> None:
        self._live = False
        self._confirmed.clear()
        self._asked.clear()
        self._changes.clear()
        self._restoring.clear()

    @property
    def restored(self) -> bool:
        """Everything that was wanted when the connection began is confirmed."""
        return self._live and not self._restoring

    def take_commands(self) -> list[tuple[bytes, ...]]:
        """What was asked since the last call, in order, neighbours of one kind joined."""
        changes, self._changes = self._changes, []
        commands: list[tuple[bytes, ...]] = []
        for verb, group in groupby(changes, key=lambda change: change[0]):
            commands += _commands(verb, [channel for _, channel in group])
        return commands

    def confirm(self, channel: bytes) -> None:
        """Redis says that it has subscribed us.  Of two SUBSCRIBE with an UNSUBSCRIBE between them
        only the second counts."""
        left = self._asked.get(channel, 1) - 1
        if left > 0:
            self._asked[channel] = left
            return
        self._asked.pop(channel, None)
        self._restoring.discard(channel)
        if channel in self.wanted:
            self._confirmed.add(channel)
        for waiter in self._waiters.pop(channel, ()):
            waiter.missing -= 1
            if waiter.missing == 0:
                waiter.done.set()

    # -- callers -----------------------------------------------------------------------------------

    def add(self, channels: Iterable[bytes]) -> trio.Event | None:
        """Want these; None when all are confirmed, otherwise what to wait for."""
        waiter = _Waiter(0)
        for channel in dict.fromkeys(channels):
            if channel in self._confirmed:
                continue
            if channel not in self.wanted:
                self.wanted[channel] = None
                self._change(b"SUBSCRIBE", channel)
            waiter.missing += 1
            self._waiters.setdefault(channel, []).append(waiter)
        return waiter.done if waiter.missing else None

    def remove(self, channels: Iterable[bytes]) -> None:
        for channel in channels:
            if channel in self.wanted:
                del self.wanted[channel]
                self._confirmed.discard(channel)
                self._restoring.discard(channel)
                self._change(b"UNSUBSCRIBE", channel)

    def abandon(self, event: trio.Event, channels: Iterable[bytes]) -> None:
        """Nobody waits for this event any more."""
        for channel in channels:
            left = [w for w in self._waiters.get(channel, ()) if w.done is not event]
            if left:
                self._waiters[channel] = left
            else:
                self._waiters.pop(channel, None)

    def _change(self, verb: bytes, channel: bytes) -> None:
        if not self._live:
            return
        if verb == b"SUBSCRIBE":
            self._asked[channel] = self._asked.get(channel, 0) + 1
        self._changes.append((verb, channel))


def _commands(verb: bytes, channels: list[bytes]) -> list[tuple[bytes, ...]]:
    return [
        (verb, *channels[at : at + CHANNELS_PER_COMMAND])
        for at in range(0, len(channels), CHANNELS_PER_COMMAND)
    ]
