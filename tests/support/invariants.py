"""The promises, as a check on what is in the engines and what clients were told."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from types import TracebackType

import attrs
import redis

from openim_trio.append.ports import KnownKey
from openim_trio.append.requests import Append, Appended
from openim_trio.domain.errors import ServiceError
from openim_trio.domain.rows import ANY_BODY, Row, RowKind
from openim_trio.redisio.sequencer import known_key
from openim_trio.wire import bus_message
from openim_trio.wire.bus_message import BusKind


@attrs.define
class Ledger:
    """What clients were told."""

    acked: list[tuple[Append, Appended]] = attrs.field(factory=list)
    never: list[Append] = attrs.field(factory=list)
    failed: list[tuple[Append, ServiceError]] = attrs.field(factory=list)

    def note(self, append: Append, outcome: Appended | ServiceError) -> None:
        if isinstance(outcome, ServiceError):
            self.failed.append((append, outcome))
        elif outcome.kind is RowKind.TOMBSTONE:
            self.never.append(append)
        else:
            self.acked.append((append, outcome))

    def highest(self, conversation: str) -> int:
        return max((o.seq for a, o in self.acked if a.conversation == conversation), default=0)


@attrs.frozen
class Facts:
    """A conversation's hash in Redis, read without the scripts."""

    n: int
    lo: int
    keys: dict[bytes, KnownKey]

    @classmethod
    def parse(cls, fields: Mapping[bytes, bytes]) -> Facts | None:
        if b"n" not in fields:
            return None
        keys = {name[2:]: known_key(v) for name, v in fields.items() if name[:2] == b"k:"}
        return cls(int(fields[b"n"]), int(fields[b"lo"]), keys)


class Receiver:
    """A client's session in short: it is shown rows in order, and pulls what it lacks.

    Subscribed to everything from the start; `shown` reads what has been published until now.
    """

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._shown: dict[str, int] = defaultdict(int)
        self.published: list[tuple[str, int]] = []
        self.notes: list[tuple[str, int]] = []

    def __enter__(self) -> Receiver:
        self.subscribe()
        return self

    def subscribe(self) -> None:
        """At the start, and again after Redis was lost."""
        self._pubsub = self._client.pubsub()  # type: ignore[no-untyped-call]
        self._pubsub.psubscribe(f"{self._prefix}*")
        assert self._pubsub.get_message(timeout=5)["type"] == "psubscribe"

    def read_head(self, conversation: str, head: int) -> None:
        """What a session does after it lost its subscription: it is shown the rows up to there."""
        self._shown[conversation] = max(self._shown[conversation], head)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pubsub.close()

    def shown(self, conversation: str) -> int:
        """The highest seq that this receiver has shown by now."""
        self._read()
        return self._shown[conversation]

    def _read(self) -> None:
        mark = f"{self._prefix}mark"
        self._client.publish(mark, b"")
        while True:
            message = self._pubsub.get_message(timeout=5)
            if message is None:
                continue
            if message["channel"] == mark.encode():
                return
            self._take(message["channel"].decode(), bus_message.decode(message["data"]))

    def _take(self, channel: str, message: bus_message.BusMessage) -> None:
        if message.kind in (BusKind.MESSAGE, BusKind.TOMBSTONE):
            if channel.endswith("u:alice"):
                return  # the sender's own copy
            self.published.append((message.conversation, message.seq))
        elif message.kind is BusKind.HEAD:
            self.notes.append((message.conversation, message.seq))
        shown = self._shown[message.conversation]
        self._shown[message.conversation] = max(shown, message.seq)


def violations(
    conversation: str, rows: Sequence[Row], facts: Facts | None, shown: int, ledger: Ledger
) -> list[str]:
    """Everything that is broken, in words; empty if all is well.

    Safety and visibility: call it when every request is answered or its worker is gone.
    """
    found = _of_rows(rows)
    by_seq = {row.seq: row for row in rows}
    found += _of_answers(conversation, by_seq, rows, ledger)
    if facts is not None:
        found += _of_facts(by_seq, facts)
    top = ledger.highest(conversation)
    if shown > len(rows):
        found.append(f"the receiver was shown {shown}, rows end at {len(rows)}")
    if shown < top:
        found.append(f"seq {top} is acknowledged, the receiver was shown {shown} only")
    if facts is not None and facts.n < top:
        found.append(f"seq {top} is acknowledged, new readers are shown {facts.n} only")
    return found


def _of_rows(rows: Sequence[Row]) -> list[str]:
    found = []
    if [row.seq for row in rows] != list(range(1, len(rows) + 1)):
        found.append(f"seqs are {[row.seq for row in rows]}")
    counts = Counter(row.key for row in rows)
    found += [f"{count} rows of one key" for count in counts.values() if count > 1]
    times = [row.send_time for row in rows]
    if times != sorted(times):
        found.append(f"send times fall: {times}")
    return found


def _of_answers(
    conversation: str, by_seq: Mapping[int, Row], rows: Sequence[Row], ledger: Ledger
) -> list[str]:
    found = []
    for append, answer in ledger.acked:
        if append.conversation != conversation:
            continue
        row = by_seq.get(answer.seq)
        if row is None or row.key != append.key or row.kind is not RowKind.MESSAGE:
            found.append(f"acknowledged at seq {answer.seq}, which holds something else")
        elif append.fingerprint not in (row.fingerprint, ANY_BODY):
            found.append(f"acknowledged at seq {answer.seq}, which holds another body")
    delivered = {row.key for row in rows if row.kind is RowKind.MESSAGE}
    found += ["told never, but delivered" for append in ledger.never if append.key in delivered]
    return found


def _of_facts(by_seq: Mapping[int, Row], facts: Facts) -> list[str]:
    found = []
    if facts.n > len(by_seq):
        found.append(f"Redis says {facts.n} rows, there are {len(by_seq)}")
    for key, slot in facts.keys.items():
        row = by_seq.get(slot.seq)
        if row is None or (row.key, row.kind) != (key, slot.kind):
            found.append(f"Redis says that seq {slot.seq} has a key that it has not")
    for seq in range(facts.lo, facts.n + 1):
        if seq in by_seq and by_seq[seq].key not in facts.keys:
            found.append(f"Redis claims the keys of {facts.lo}..{facts.n} but lacks that of {seq}")
    return found
