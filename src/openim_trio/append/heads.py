"""Heads: how far each conversation is visible."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import structlog

from openim_trio.append.ports import Head, RowStore, Sequencer, SequencerUnavailable, Tail, Unknown
from openim_trio.append.seed import Seeder

AT_ONCE = 500
"""conversations in one Lua call"""

_log = structlog.get_logger()


class Heads:
    """`on_read_from_store`: called with ends that the sequencer could not be asked for."""

    def __init__(self, sequencer: Sequencer, rows: RowStore, seeder: Seeder) -> None:
        self._sequencer = sequencer
        self._rows = rows
        self._seeder = seeder
        self.on_read_from_store: Callable[[Mapping[str, Head]], None] = lambda heads: None

    async def heads(self, conversations: Sequence[str]) -> dict[str, Head]:
        """n of each.  Without a sequencer it is the end of the rows in the store, a complete
        prefix, and so a fact too.  Raises StoreUnavailable."""
        found: dict[str, Head] = {}
        names = list(dict.fromkeys(conversations))
        for start in range(0, len(names), AT_ONCE):
            chunk = names[start : start + AT_ONCE]
            try:
                found.update(await self.of_sequencer(chunk))
            except SequencerUnavailable:
                _log.warning("heads_from_store", conversations=len(chunk))
                tails = await self._rows.tails(chunk, 1)
                ends = dict(zip(chunk, map(_end, tails), strict=True))
                self.on_read_from_store(ends)
                found.update(ends)
        return found

    async def of_sequencer(self, names: Sequence[str]) -> dict[str, Head]:
        """n of each, as the sequencer has it; what it does not know is seeded.  Raises
        SequencerUnavailable and StoreUnavailable."""
        found: dict[str, Head] = {}
        tickets: dict[str, bytes] = {}
        for name, answer in zip(names, await self._sequencer.heads(names), strict=True):
            if isinstance(answer, Unknown):
                tickets[name] = answer.ticket
            else:
                found[name] = answer
        if not tickets:
            return found
        tails = await self._seeder.seed(tickets)
        unknown = list(tickets)
        # Somebody may have appended while the tail was read: ask once more, the higher fact wins.
        for name, answer in zip(unknown, await self._sequencer.heads(unknown), strict=True):
            read = _end(tails[name])
            found[name] = answer if isinstance(answer, Head) and answer.seq > read.seq else read
        return found


def _end(tail: Tail) -> Head:
    return Head(tail.head, tail.rows[-1].send_time if tail.rows else 0)
