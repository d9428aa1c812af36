"""The append protocol with one condition taken out, on the engines in memory.

Each must be found within a number of courses; a simulation that finds none of them proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import attrs

from openim_trio.append.ports import (
    AdvanceBlock,
    Advanced,
    Behind,
    ReserveBlock,
    Reserved,
    SeedBlock,
    Unknown,
)
from tests.simulation.appending import Weakening
from tests.simulation.engines import WatchedSequencer
from tests.support.weakened import EVERYTHING, UnorderedInsert
from tests.support.wrapping import WrappedSequencer


class JumpingAdvance(WatchedSequencer):
    """Without C2: n jumps over rows that nobody told of."""

    def _advance(self, token: bytes, block: AdvanceBlock) -> Advanced | Behind | Unknown:
        facts = self.facts.get(block.conversation)
        if facts is not None and facts.n is not None and facts.n < block.first_seq - 1:
            facts.n = block.first_seq - 1
        return super()._advance(token, block)


class UncoveredKeys(WatchedSequencer):
    """Without C4: a key that is not in the window counts as new, however old it is."""

    def _reserve(self, token: bytes, block: ReserveBlock) -> Reserved | Unknown:
        looked = [attrs.evolve(key, looked_through=EVERYTHING) for key in block.keys]
        return super()._reserve(token, attrs.evolve(block, keys=tuple(looked)))


class TrustedLookUp(WatchedSequencer):
    """Without the second half of C4: one look-up is enough, whatever came after it."""

    def _reserve(self, token: bytes, block: ReserveBlock) -> Reserved | Unknown:
        looked = [
            attrs.evolve(key, looked_through=EVERYTHING) if key.looked_through else key
            for key in block.keys
        ]
        return super()._reserve(token, attrs.evolve(block, keys=tuple(looked)))


class BoastfulSeed(WatchedSequencer):
    """Without C5: a seed claims to know the keys of rows that it has not read."""

    def _seed(self, seed: SeedBlock) -> bool:
        return super()._seed(attrs.evolve(seed, floor_time=-EVERYTHING))


class ForcedSeed(WatchedSequencer):
    """Without C7: the seed overwrites what is known by now."""

    def _seed(self, seed: SeedBlock) -> bool:
        facts = self.facts.get(seed.conversation)
        if facts is not None:
            facts.n, facts.ticket = None, seed.ticket
            facts.keys.clear()
        return super()._seed(seed)


class TicketlessSeed(WatchedSequencer):
    """Without C8: any "unknown" will do, also a later one."""

    def _seed(self, seed: SeedBlock) -> bool:
        facts = self._known(seed.conversation)
        if isinstance(facts, Unknown):
            self.facts[seed.conversation].ticket = seed.ticket
        return super()._seed(seed)


class SilentSeed(WatchedSequencer):
    """Without C9: the seed does not publish the head."""

    def _seed(self, seed: SeedBlock) -> bool:
        return super()._seed(attrs.evolve(seed, channels=()))


class EarlyAnswer(WrappedSequencer):
    """Without C10: the sender is answered before the advance."""

    async def advance(
        self, token: bytes, blocks: Sequence[AdvanceBlock]
    ) -> list[Advanced | Behind | Unknown]:
        return [Advanced(block.rows[-1].seq) for block in blocks]


TAKEN_OUT: Mapping[str, Weakening] = MappingProxyType({
    "C1": Weakening(rows=UnorderedInsert),
    "C2": Weakening(sequencer=JumpingAdvance),
    "C4": Weakening(sequencer=UncoveredKeys),
    "C4, its second half": Weakening(sequencer=TrustedLookUp),
    "C5": Weakening(sequencer=BoastfulSeed),
    "C6": Weakening(gives_up_by_looking=True),
    "C7": Weakening(sequencer=ForcedSeed),
    "C8": Weakening(sequencer=TicketlessSeed),
    "C9": Weakening(sequencer=SilentSeed),
    "C10": Weakening(port=EarlyAnswer),
    "C13": Weakening(repeats=False),
})  # fmt: skip
