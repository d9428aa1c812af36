"""After a change of Redis server: repeat what this worker made visible in the last minute (C13).

The old server may have served this worker for a while after a new one was made master.  What was
advanced there only, and acknowledged, the new one does not know; it is repeated there with rows
from the store.
"""

from __future__ import annotations

from collections import OrderedDict

import structlog
import trio

from openim_trio.append.catch_up import CatchUp
from openim_trio.append.heads import Heads
from openim_trio.append.ports import SequencerUnavailable, StoreUnavailable
from openim_trio.append.setbacks import Setback, rest
from openim_trio.observability.metrics import Metrics

REMEMBER_SECONDS = 60.0
REMEMBER_CONVERSATIONS = 50_000
"""The oldest go first; a conversation that was dropped shows its last rows at the next append."""

_log = structlog.get_logger()


class RecentAdvances:
    """(conversation, highest seq) of the last minute, oldest first; bounded."""

    def __init__(self, limit: int = REMEMBER_CONVERSATIONS) -> None:
        self._seqs: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._limit = limit

    def note(self, conversation: str, seq: int) -> None:
        known = self._seqs.pop(conversation, None)
        now = trio.current_time()
        self._seqs[conversation] = (max(seq, known[0]) if known else seq, now)
        while len(self._seqs) > self._limit or self._oldest() < now - REMEMBER_SECONDS:
            self._seqs.popitem(last=False)

    def since(self, moment: float) -> dict[str, int]:
        return {name: seq for name, (seq, at) in self._seqs.items() if at >= moment}

    def _oldest(self) -> float:
        return next(iter(self._seqs.values()))[1]


class Repeater:
    def __init__(
        self, recent: RecentAdvances, heads: Heads, catch_up: CatchUp, metrics: Metrics
    ) -> None:
        self._recent = recent
        self._heads = heads
        self._catch_up = catch_up
        self._metrics = metrics
        self._changed = trio.Event()
        self._wanted: dict[str, int] = {}

    def server_changed(self) -> None:
        """Another Redis server answers now.  Returns at once; `run` does the work."""
        for name, seq in self._recent.since(trio.current_time() - REMEMBER_SECONDS).items():
            self._wanted[name] = max(seq, self._wanted.get(name, 0))
        self._changed.set()

    async def run(self) -> None:
        failures = 0
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            wanted, self._wanted = self._wanted, {}
            try:
                await self.make_visible(wanted)
                failures = 0
            except (SequencerUnavailable, StoreUnavailable):
                failures += 1
                for name, seq in wanted.items():
                    self._wanted[name] = max(seq, self._wanted.get(name, 0))
                self._changed.set()
                await trio.sleep(rest(Setback.UNAVAILABLE, failures))

    async def make_visible(self, wanted: dict[str, int]) -> None:
        """Every row up to these seqs is in the store; make the sequencer know and publish them."""
        if not wanted:
            return
        heads = await self._heads.of_sequencer(list(wanted))
        behind = {name: heads[name].seq for name, seq in wanted.items() if heads[name].seq < seq}
        for name, head in behind.items():
            await self._catch_up.from_head(name, head)
        if behind:
            self._metrics.repeats.inc(len(behind))
            _log.info("advances_repeated", conversations=len(behind))
