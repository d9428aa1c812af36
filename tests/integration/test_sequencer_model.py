"""Random steps of workers, against a plain model of what the sequencer may answer.

The model holds the store's rows and, while the conversation is known, n and the window.  Every
answer must be exactly the model's; and whatever happened, an answer is a fact about the store.
"""

from __future__ import annotations

import itertools
import uuid

import attrs
import redis
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from openim_trio.append.ports import (
    AdvanceBlock,
    Advanced,
    Behind,
    Head,
    Publication,
    ReserveBlock,
    Reserved,
    ReserveKey,
    SeedBlock,
    Unknown,
)
from openim_trio.config.model import AppendConfig, RedisConfig
from openim_trio.domain.rows import Row, RowKind, message_key
from openim_trio.redisio.sequencer import RedisSequencer
from tests.support.rediskit import make_row, open_sequencer

WINDOW = 4
NAMES = 12
CLOCK_ERROR = 600_000
BASE = 2 * 10**12  # sendTimes are in the future, so that the window is trimmed by count only
FACTS = AppendConfig(window_rows=WINDOW, lease_ms=1, clock_error_minutes=10)


@attrs.define
class Model:
    rows: list[Row] = attrs.field(factory=list)
    known: bool = False
    ticket: bytes | None = None
    used: set[bytes] = attrs.field(factory=set)
    n: int = 0
    lo: int = 1
    tlo: int = 0

    def window(self) -> dict[bytes, Row]:
        return {row.key: row for row in self.rows[self.lo - 1 : self.n]}

    def forget(self) -> None:
        self.known, self.ticket = False, None

    def unknown(self, answer: object) -> bool:
        """Check an answer "unknown": one ticket for all until a wipe, then a fresh one (C8)."""
        if self.known:
            assert not isinstance(answer, Unknown)
            return False
        assert isinstance(answer, Unknown)
        if self.ticket is None:
            assert answer.ticket not in self.used
            self.used.add(answer.ticket)
            self.ticket = answer.ticket
        assert answer.ticket == self.ticket
        return True

    def trim(self) -> None:
        while self.n - self.lo + 1 > WINDOW:
            self.tlo = max(self.tlo, self.rows[self.lo - 1].create_time)
            self.lo += 1


class Steps:
    def __init__(self, sequencer: RedisSequencer, client: redis.Redis, key: str) -> None:
        self.sequencer = sequencer
        self.client = client
        self.key = key
        self.model = Model()
        self.snapshots: list[tuple[bytes, Model]] = []
        self.tokens = itertools.count()

    def token(self) -> bytes:
        return b"%d" % next(self.tokens)

    async def send(self, names: list[int], looked: int, lose: int) -> None:
        """reserve, store, advance; `lose`: the worker stops after so many of these steps."""
        keys = tuple(
            ReserveKey(message_key("sender", str(n)), create_time(n), looked) for n in names
        )
        token = self.token()
        (answer,) = await self.sequencer.reserve(token, [ReserveBlock("c", keys)])
        if self.model.unknown(answer):
            return
        assert isinstance(answer, Reserved)
        self.check_reserved(answer, keys)
        if lose == 0 or not answer.new:
            await self.sequencer.release(token, ["c"])
            return
        fresh = [names[i] for i in answer.new]
        if not self.store(answer.first_seq, fresh, answer.send_time) or lose == 1:
            await self.sequencer.release(token, ["c"])
            return
        await self.advance(token, answer.first_seq, len(fresh))

    def check_reserved(self, answer: Reserved, keys: tuple[ReserveKey, ...]) -> None:
        model, window = self.model, self.model.window()
        assert not answer.busy
        assert answer.head == model.n
        assert answer.first_seq == model.n + 1
        if model.n:
            assert answer.send_time >= model.rows[model.n - 1].send_time
        old, new = [], []
        for index, key in enumerate(keys):
            if key.key in window:
                row, slot = window[key.key], answer.known[index]
                assert (slot.seq, slot.kind, slot.send_time) == (row.seq, row.kind, row.send_time)
                assert slot.fingerprint == row.fingerprint
            elif key.create_time <= model.tlo and key.looked_through < model.lo - 1:
                old.append(index)
            else:
                new.append(index)
        assert answer.old == tuple(old)
        assert answer.new == tuple(new)
        assert len(answer.known) + len(old) + len(new) == len(keys)

    def store(self, first: int, names: list[int], send_time: int) -> bool:
        """The store: a row goes in only at the first free slot (its unique _id)."""
        rows = self.model.rows
        for seq, name in enumerate(names, first):
            assert seq <= len(rows) + 1, "a slot behind a hole was handed out"
            if seq <= len(rows):
                return False
            if any(row.key == message_key("sender", str(name)) for row in rows):
                # Only a caller that claimed a look-up it never made gets here.
                return False
            kind = RowKind.TOMBSTONE if name % 5 == 0 else RowKind.MESSAGE
            rows.append(
                make_row("c", seq, str(name), send_time=max(send_time, BASE + seq),
                         create_time=create_time(name), kind=kind)
            )  # fmt: skip
        return True

    async def advance(self, token: bytes, first: int, count: int) -> None:
        model = self.model
        rows = tuple(model.rows[first - 1 : first - 1 + count])
        if not rows:
            return
        publications = tuple(Publication(("u:a",), b"%d" % row.seq) for row in rows)
        block = AdvanceBlock("c", first, rows, publications)
        (answer,) = await self.sequencer.advance(token, [block])
        if model.unknown(answer):
            return
        if model.n < first - 1:
            assert answer == Behind(model.n)
            return
        if rows[-1].seq > model.n:
            model.n = rows[-1].seq
            model.trim()
        assert answer == Advanced(model.n)

    async def seed(self, length: int, stale: bool) -> None:
        model = self.model
        (answer,) = await self.sequencer.heads(["c"])
        if not model.unknown(answer):
            assert isinstance(answer, Head)
            assert answer.seq == model.n
            assert answer.send_time == (model.rows[model.n - 1].send_time if model.n else 0)
            ticket = max(model.used, default=b"none")
        else:
            assert model.ticket is not None
            ticket = min(model.used) if stale else model.ticket
        head = len(model.rows)
        lo = max(1, head - length + 1)
        floor = model.rows[lo - 2].send_time if lo > 1 else 0
        block = SeedBlock("c", ticket, head, tuple(model.rows[lo - 1 :]), floor, ())
        (seeded,) = await self.sequencer.seed([block])
        assert seeded == (not model.known and ticket == model.ticket)
        if seeded:
            model.known, model.ticket, model.n, model.lo = True, None, head, lo
            model.tlo = 0 if lo == 1 else floor + CLOCK_ERROR

    async def wipe(self) -> None:
        self.client.delete(self.key)
        self.model.forget()

    async def snapshot(self) -> None:
        dumped = self.client.dump(self.key)
        if dumped is not None:
            self.snapshots.append((dumped, attrs.evolve(self.model)))

    async def roll_back(self) -> None:
        if self.snapshots:
            dumped, then = self.snapshots[-1]
            self.client.restore(self.key, 0, dumped, replace=True)
            self.model = attrs.evolve(then, rows=self.model.rows, used=self.model.used)

    async def other_server(self) -> None:
        """C11: the same hash, but another server wrote it."""
        if self.client.exists(self.key):
            self.client.hset(self.key, "inc", "0" * 32)
            self.model.forget()


def create_time(name: int) -> int:
    """Clients' clocks are ahead by up to the allowed error."""
    return BASE + name % 7 * 100_000


names = st.lists(st.integers(1, NAMES), min_size=1, max_size=4, unique=True)
step = st.one_of(
    st.tuples(st.just("send"), names, st.integers(0, 6), st.integers(0, 2)),
    st.tuples(st.just("send"), names, st.integers(0, 6), st.just(2)),
    st.tuples(st.just("advance"), st.just(b"x"), st.integers(1, 8), st.integers(1, 4)),
    st.tuples(st.just("seed"), st.integers(0, 6), st.booleans()),
    st.tuples(st.sampled_from(["wipe", "snapshot", "roll_back", "other_server"])),
)


@settings(max_examples=120, deadline=None)
@given(steps=st.lists(step, min_size=5, max_size=40))
def test_every_answer_is_the_models(redis_url: str, steps: list[tuple[object, ...]]) -> None:
    config = RedisConfig(url=redis_url, prefix=f"m{uuid.uuid4().hex[:8]}:")

    async def main() -> None:
        async with open_sequencer(config, FACTS) as sequencer:
            with redis.from_url(redis_url) as client:
                state = Steps(sequencer, client, f"{config.prefix}c:c")
                await state.seed(0, False)
                for name, *arguments in steps:
                    await getattr(state, str(name))(*arguments)

    trio.run(main)
