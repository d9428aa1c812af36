"""The engines in memory, watched: what they hold must be true at every moment."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

from openim_trio.append.ports import AdvanceBlock, Advanced, Behind, SeedBlock, Unknown
from openim_trio.config.model import AppendConfig
from openim_trio.domain.rows import Row
from openim_trio.wire import bus_message
from openim_trio.wire.bus_message import BusKind, BusMessage
from tests.simulation.determinism import Course
from tests.support.invariants import Facts, Ledger, violations
from tests.support.memory_ports import Facts as MemoryFacts
from tests.support.memory_ports import MemoryRows, MemorySequencer

NUMBERED = (BusKind.MESSAGE, BusKind.TOMBSTONE)


class WatchedRows(MemoryRows):
    def all(self, conversation: str) -> list[Row]:
        """Holes and all."""
        return [row for (name, _), row in sorted(self.slots.items()) if name == conversation]

    @property
    def conversations(self) -> list[str]:
        return sorted({name for name, _ in self.slots})


class WatchedSequencer(MemorySequencer):
    """Blames facts that are false and publications that are out of order.

    acked        the highest seq of a conversation that a sender was told
    on_publish   every publication, in order
    told         conversation -> the highest seq that was published, as a message or as the head
    rolled_back  facts went back in time, and nobody could notice
    """

    def __init__(self, course: Course, config: AppendConfig, rows: WatchedRows) -> None:
        super().__init__(course.now_ms, config)
        self.acked: Callable[[str], int] = lambda conversation: 0
        self.on_publish: Callable[[str, bytes], object] = lambda channel, payload: None
        self.told: dict[str, int] = {}
        self.rolled_back = False
        self._last: dict[tuple[str, str], int] = {}
        self._course = course
        self._rows = rows

    def snapshot(self) -> dict[str, MemoryFacts]:
        return copy.deepcopy(self.facts)

    def roll_back(self, snapshot: dict[str, MemoryFacts]) -> None:
        self.facts = copy.deepcopy(snapshot)
        self._last.clear()
        self.rolled_back = True

    def known(self, conversation: str) -> Facts | None:
        facts = self.facts.get(conversation)
        if facts is None or facts.n is None:
            return None
        return Facts(facts.n, facts.lo, {key: slot for key, (slot, _) in facts.keys.items()})

    # -- what is watched

    def _advance(self, token: bytes, block: AdvanceBlock) -> Advanced | Behind | Unknown:
        result = super()._advance(token, block)
        self._check(block.conversation)
        return result

    def _seed(self, seed: SeedBlock) -> bool:
        done = super()._seed(seed)
        self._check(seed.conversation)
        acked = self.acked(seed.conversation)
        if done and seed.head < acked and not self.rolled_back:
            self._course.blame(f"{seed.conversation}: seeded to {seed.head}, {acked} is told")
        return done

    def _check(self, conversation: str) -> None:
        rows = self._rows.all(conversation)
        facts = self.known(conversation)
        for found in violations(conversation, rows, facts, len(rows), Ledger()):
            self._course.blame(f"{conversation}: {found}")

    def _publish(self, channels: Sequence[str], payload: bytes) -> None:
        super()._publish(channels, payload)
        message = bus_message.decode(payload)
        self._check_order(channels, message)
        known = self.told.get(message.conversation, 0)
        self.told[message.conversation] = max(known, message.seq)
        for channel in channels:
            self.on_publish(channel, payload)

    def _check_order(self, channels: Sequence[str], message: BusMessage) -> None:
        """Seq order without a hole, but for what a head tells to read."""
        for channel in channels:
            place = channel, message.conversation
            last = self._last.get(place)
            if message.kind in NUMBERED and last is not None and message.seq != last + 1:
                self._course.blame(f"{channel}: seq {message.seq} was published after {last}")
            self._last[place] = message.seq if last is None else max(last, message.seq)
