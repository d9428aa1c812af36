"""What Redis should know and may not: rows that were visible to somebody, and are not in its facts.

After a change of Redis server: what this worker made visible in the last minute (C13).  The old
server may have served this worker for a while after a new one was made master.  What was advanced
there only, and acknowledged, the new one does not know; it is repeated there with rows from the
store.

After an outage: ends of conversations that were read from the store meanwhile.  Their last rows may
have been stored and not advanced, and their senders, who saw them, need not send again; without
this, others would see them at the next append only.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog
import trio

from openim_trio.append.catch_up import CatchUp
from openim_trio.append.heads import AT_ONCE, Heads
from openim_trio.append.ports import Head, SequencerUnavailable, StoreUnavailable
from openim_trio.append.recent import REMEMBER_CONVERSATIONS, REMEMBER_SECONDS, RecentAdvances
from openim_trio.append.setbacks import Setback, rest
from openim_trio.observability.metrics import Metrics

_log = structlog.get_logger()


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
        self._from_store: dict[str, int] = {}
        heads.on_read_from_store = self._read_from_store

    def server_changed(self) -> None:
        """Another Redis server answers now.  Returns at once; `run` does the work."""
        _raise(self._wanted, self._recent.since(trio.current_time() - REMEMBER_SECONDS))
        self._changed.set()

    def _read_from_store(self, heads: Mapping[str, Head]) -> None:
        if len(self._from_store) < REMEMBER_CONVERSATIONS:
            _raise(self._from_store, {name: head.seq for name, head in heads.items() if head.seq})
            self._changed.set()

    async def run(self) -> None:
        failures = 0
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            wanted, self._wanted = self._wanted, {}
            from_store, self._from_store = self._from_store, {}
            try:
                await self.make_visible(wanted)
                await self._level(from_store)
                failures = 0
            except (SequencerUnavailable, StoreUnavailable):
                failures += 1
                _raise(self._wanted, wanted)
                _raise(self._from_store, from_store)
                self._changed.set()
                await trio.sleep(rest(Setback.UNAVAILABLE, failures))

    async def make_visible(self, wanted: Mapping[str, int]) -> None:
        """Every row up to these seqs is in the store; make the sequencer know and publish them."""
        if not wanted:
            return
        heads = await self._heads.of_sequencer(list(wanted))
        behind = {name: heads[name].seq for name, seq in wanted.items() if heads[name].seq < seq}
        await self._advance(behind)

    async def _level(self, from_store: Mapping[str, int]) -> None:
        """The same, but for conversations that the sequencer does not know: what touches those
        next seeds them, with all their rows."""
        names = list(from_store)
        for start in range(0, len(names), AT_ONCE):
            chunk = names[start : start + AT_ONCE]
            answers = zip(chunk, await self._catch_up.sequencer.heads(chunk), strict=True)
            await self._advance(
                {
                    name: answer.seq
                    for name, answer in answers
                    if isinstance(answer, Head) and answer.seq < from_store[name]
                }
            )

    async def _advance(self, behind: Mapping[str, int]) -> None:
        for name, head in behind.items():
            await self._catch_up.from_head(name, head)
        if behind:
            self._metrics.repeats.inc(len(behind))
            _log.info("advances_repeated", conversations=len(behind))


def _raise(seqs: dict[str, int], more: Mapping[str, int]) -> None:
    for name, seq in more.items():
        seqs[name] = max(seq, seqs.get(name, 0))
