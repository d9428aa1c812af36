"""Reading rows (blocking; runs in a thread).

A conversation's rows are always 1..M without a hole, so its end is found by probing whether rows
exist, many probes of many conversations in one query, and no secondary index is needed.  Buckets
do not matter to the search: a probe is one `_id`.

Nothing behind a gap is ever returned as a fact: rows of two shards, or on both sides of a pause in
a scan, may be seen at slightly different times.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from openim_trio.append.ports import StoreUnavailable, Tail
from openim_trio.domain.rows import Row, message_key
from openim_trio.store.collections import Document, Rows
from openim_trio.store.row_documents import COMPLETE, TIMED, send_time_of, to_row
from openim_trio.store.row_ids import IdRange, id_ranges, row_id, seq_of
from openim_trio.wire.proto import sdkws_pb2

RANGES_AT_ONCE = 100
IDS_AT_ONCE = 2_000
PROBES = 32
_UNBOUNDED = 2**63

T = TypeVar("T")


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


class RowsTooLarge(Exception):
    """What was asked for holds more bytes than one read may bring; ask for fewer rows."""


class Budget:
    """Bytes of message bodies that one read may bring.  Raises RowsTooLarge when they are spent."""

    def __init__(self, size: int) -> None:
        self._left = size

    def spend(self, document: Document) -> None:
        self._left -= len(document.get("d", b""))
        if self._left < 0:
            raise RowsTooLarge


def find_ranges(
    rows: Rows,
    ranges: Sequence[IdRange],
    projection: Mapping[str, int],
    budget: Budget | None = None,
) -> dict[bytes, dict[int, Document]]:
    """Prefix -> seq -> document, seqs ascending."""
    found: dict[bytes, dict[int, Document]] = {}
    for part in chunks(ranges, RANGES_AT_ONCE):
        bounds = [{"_id": {"$gte": item.low, "$lte": item.high}} for item in part]
        query: dict[str, Any] = bounds[0] if len(bounds) == 1 else {"$or": bounds}
        for document in rows.find(query, projection):
            if budget is not None:
                budget.spend(document)
            identifier = document["_id"]
            found.setdefault(identifier[:-8], {})[seq_of(identifier)] = document
    return {prefix: dict(sorted(by_seq.items())) for prefix, by_seq in found.items()}


def find_ids(
    rows: Rows,
    ids: Sequence[bytes],
    projection: Mapping[str, int],
    budget: Budget | None = None,
) -> dict[bytes, Document]:
    found: dict[bytes, Document] = {}
    for part in chunks(ids, IDS_AT_ONCE):
        for document in rows.find({"_id": {"$in": part}}, projection):
            if budget is not None:
                budget.spend(document)
            found[document["_id"]] = document
    return found


def read_run(rows: Rows, conversation: str, first: int, last: int) -> list[Row]:
    """Rows first, first+1, … up to `last` or the first one that is not there."""
    parts = list(id_ranges(conversation, first, last))
    return _run(conversation, first, parts, find_ranges(rows, parts, COMPLETE))


def _run(
    conversation: str,
    first: int,
    parts: Sequence[IdRange],
    found: Mapping[bytes, Mapping[int, Document]],
) -> list[Row]:
    run: list[Row] = []
    for part in parts:
        documents = found.get(part.prefix, {})
        for seq in range(part.first, part.last + 1):
            document = documents.get(seq)
            if document is None:
                return run
            run.append(to_row(conversation, seq, document))
    return run


# -- the end of a conversation ---------------------------------------------------------------------


def find_heads(rows: Rows, conversations: Sequence[str]) -> dict[str, int]:
    """The highest seq of each, 0 where there are no rows.

    One query tells the empty ones, one gallops, then two or three narrow down, for all at once.
    """
    low = dict.fromkeys(conversations, 0)
    high = dict.fromkeys(low, _UNBOUNDED)
    probes: dict[str, Sequence[int]] = dict.fromkeys(low, (1,))
    while probes:
        _probe(rows, probes, low, high)
        probes = {
            conversation: points
            for conversation in probes
            if low[conversation] and (points := _next_probes(low[conversation], high[conversation]))
        }
    return low


def _next_probes(low: int, high: int) -> Sequence[int]:
    if high == _UNBOUNDED:
        return [low * 8**power for power in range(1, 6) if low * 8**power < high]
    return _points(low, high)


def _points(low: int, high: int) -> range:
    """Up to PROBES seqs between low and high, evenly spread."""
    step = max((high - low) // (PROBES + 1), 1)
    if high - low > step * (PROBES + 1):
        step += 1
    return range(low + step, high, step)


def _probe(
    rows: Rows, probes: Mapping[str, Sequence[int]], low: dict[str, int], high: dict[str, int]
) -> None:
    ids = [(c, seq, row_id(c, seq)) for c, seqs in probes.items() for seq in seqs]
    there = find_ids(rows, [identifier for _, _, identifier in ids], {"_id": 1})
    for conversation, seq, identifier in ids:
        if identifier in there:
            low[conversation] = max(low[conversation], seq)
    for conversation, seq, identifier in ids:
        if identifier not in there and seq > low[conversation]:
            high[conversation] = min(high[conversation], seq)


def read_tails(rows: Rows, conversations: Sequence[str], limit: int) -> list[Tail]:
    heads = find_heads(rows, conversations)
    # One row more than asked for: its time is the floor.
    firsts = {c: max(head - limit, 1) for c, head in heads.items()}
    parts = {c: list(id_ranges(c, firsts[c], head)) for c, head in heads.items()}
    found = find_ranges(rows, [item for items in parts.values() for item in items], COMPLETE)
    tails = {
        c: _tail(_run(c, firsts[c], parts[c], found), c, firsts[c], head, limit)
        for c, head in heads.items()
    }
    return [tails[conversation] for conversation in conversations]


def _tail(run: list[Row], conversation: str, first: int, head: int, limit: int) -> Tail:
    if head == 0:
        return Tail(0, (), 0)
    floor_rows = 1 if head > limit else 0
    if len(run) <= floor_rows:
        raise StoreUnavailable(f"rows {first}..{head} of {conversation!r} are not readable yet")
    floor_time = run[0].send_time if floor_rows else 0
    return Tail(run[-1].seq, tuple(run[floor_rows:]), floor_time)


# -- look up by time -------------------------------------------------------------------------------


def first_since(rows: Rows, conversation: str, since: int, upto: int) -> int:
    """The first seq with a send time of `since` or later; upto+1 if there is none.

    Times never fall along a conversation.  Rows 1..upto must exist: a missing one is no answer.
    """
    low, high = 0, upto + 1
    while high - low > 1:
        ids = {seq: row_id(conversation, seq) for seq in _points(low, high)}
        found = find_ids(rows, list(ids.values()), TIMED)
        times = {seq: _time(found, ids[seq], conversation, seq) for seq in ids}
        low = max((seq for seq, time in times.items() if time < since), default=low)
        high = min((seq for seq in times if seq > low), default=high)
    return high


def _time(found: Mapping[bytes, Document], identifier: bytes, conversation: str, seq: int) -> int:
    if identifier not in found:
        raise StoreUnavailable(f"row {seq} of {conversation!r} is not readable yet")
    return send_time_of(found[identifier])


def find_key_in(rows: Rows, conversation: str, key: bytes, first: int, last: int) -> Row | None:
    """Look at each of the rows first..last, which must exist."""
    parts = list(id_ranges(conversation, first, last))
    found = find_ranges(rows, parts, COMPLETE)
    for part in parts:
        documents = found.get(part.prefix, {})
        for seq in range(part.first, part.last + 1):
            if seq not in documents:
                raise StoreUnavailable(f"row {seq} of {conversation!r} is not readable yet")
            message = sdkws_pb2.MsgData.FromString(documents[seq]["d"])
            if message_key(message.sendID, message.clientMsgID) == key:
                return to_row(conversation, seq, documents[seq])
    return None
