"""What `append.ports` promises, asked of the engines in memory and of the real ones.

The pipeline's deterministic tests are worth what the engines in memory are worth.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import attrs
import pytest
import trio

from openim_trio.append.ports import (
    AdvanceBlock,
    Advanced,
    Behind,
    Head,
    KnownKey,
    Publication,
    ReserveBlock,
    Reserved,
    ReserveKey,
    RowStore,
    SeedBlock,
    Sequencer,
    SequencerUnavailable,
    StoreUnavailable,
    Tail,
    Unknown,
)
from openim_trio.config.model import AppendConfig, MongoConfig, RedisConfig
from openim_trio.domain.rows import ROWS_PER_BUCKET, Row, RowKind, message_key
from openim_trio.wire import bus_message
from openim_trio.wire.bus_message import BusKind, BusMessage
from tests.support.contract import Engines, InMemory, Opened, Real, now_ms
from tests.support.rows import make_row, make_rows, seqs_of

ONE, TWO = b"flush 1", b"flush 2"
BASE = 2 * 10**12
"""ms; far ahead, so that no row is too old for the window"""
CLOCK_ERROR = 600_000
CONFIG = AppendConfig(window_rows=4, lease_ms=600_000, clock_error_minutes=10)


@pytest.fixture(params=["memory", "real"])
def engines(
    request: pytest.FixtureRequest, mongo_config: MongoConfig, redis_config: RedisConfig
) -> Engines:
    return InMemory() if request.param == "memory" else Real(mongo_config, redis_config)


@pytest.fixture
async def opened(engines: Engines) -> AsyncIterator[Opened]:
    async with engines.sequencer(CONFIG) as opened:
        yield opened


@pytest.fixture
def sequencer(opened: Opened) -> Sequencer:
    return opened.sequencer


@pytest.fixture
async def rows(engines: Engines) -> AsyncIterator[RowStore]:
    async with engines.rows() as rows:
        yield rows


# -- what tests say --------------------------------------------------------------------------------


def row(
    seq: int,
    *,
    name: str = "",
    conversation: str = "c",
    created: int | None = None,
    time: int | None = None,
    kind: RowKind = RowKind.MESSAGE,
) -> Row:
    """Row `seq`, of the message m<seq>, sent at BASE + seq."""
    return make_row(
        conversation,
        seq,
        message_id=name or f"m{seq}",
        time=BASE + seq if time is None else time,
        created=created,
        kind=kind,
    )


def rows_of(first: int, last: int) -> list[Row]:
    """Each created 1000 ms after the one before, long ago."""
    return [row(seq, created=1_000 * seq) for seq in range(first, last + 1)]


def wanted(
    *names: str, conversation: str = "c", created: int = BASE, looked: int = 0
) -> ReserveBlock:
    keys = (ReserveKey(message_key("alice", name), created, looked) for name in names)
    return ReserveBlock(conversation, tuple(keys))


def facts(rows: Sequence[Row], channels: tuple[str, ...] = ("u:bob",)) -> AdvanceBlock:
    payloads = tuple(Publication(channels, b"row %d\0\r\n" % row.seq) for row in rows)
    return AdvanceBlock(rows[0].conversation, rows[0].seq, tuple(rows), payloads)


def slot(row: Row) -> KnownKey:
    return KnownKey(row.seq, row.kind, row.send_time, row.fingerprint)


async def ticket_of(sequencer: Sequencer, conversation: str = "c") -> bytes:
    [answer] = await sequencer.heads([conversation])
    assert isinstance(answer, Unknown)
    return answer.ticket


async def seed_one(
    sequencer: Sequencer, rows: Sequence[Row] = (), *, tail: int = 16, conversation: str = "c"
) -> None:
    """With the last `tail` of these rows, which are all there are."""
    below, kept = rows[: max(len(rows) - tail, 0)], rows[max(len(rows) - tail, 0) :]
    ticket = await ticket_of(sequencer, conversation)
    floor = below[-1].send_time if below else 0
    block = SeedBlock(conversation, ticket, len(rows), tuple(kept), floor, ())
    assert await sequencer.seed([block]) == [True]


async def reserve(sequencer: Sequencer, block: ReserveBlock, token: bytes = ONE) -> Reserved:
    [answer] = await sequencer.reserve(token, [block])
    assert isinstance(answer, Reserved)
    return answer


async def state_of(sequencer: Sequencer, block: ReserveBlock) -> str:
    """known, old or new: what a message of its own is told.  Leaves no lease."""
    answer = await reserve(sequencer, block)
    await sequencer.release(ONE, [block.conversation])
    [state] = [*("known" for _ in answer.known), *("old" for _ in answer.old),
               *("new" for _ in answer.new)]  # fmt: skip
    return state


# -- reserve ---------------------------------------------------------------------------------------


async def test_new_keys_get_the_seqs_behind_the_prefix(sequencer: Sequencer) -> None:
    await seed_one(sequencer)
    await seed_one(sequencer, rows_of(1, 3), conversation="other")
    before = now_ms()
    empty, other = await sequencer.reserve(
        ONE, [wanted("x", "y"), wanted("x", conversation="other")]
    )
    assert isinstance(empty, Reserved)
    assert (empty.head, empty.new, empty.first_seq, empty.busy) == (0, (0, 1), 1, False)
    assert abs(empty.send_time - before) < 60_000
    assert other == Reserved(3, {}, (), (0,), 4, BASE + 3)


async def test_the_send_time_is_never_before_that_of_the_head(sequencer: Sequencer) -> None:
    await seed_one(sequencer, [row(1, time=1_000)])
    assert (await reserve(sequencer, wanted("x"))).send_time >= now_ms() - 60_000
    await sequencer.advance(ONE, [facts([row(2)])])
    assert (await reserve(sequencer, wanted("x"))).send_time == BASE + 2


async def test_known_keys_carry_the_answer_of_the_first_attempt(sequencer: Sequencer) -> None:
    seeded, advanced = row(1), row(2, kind=RowKind.TOMBSTONE)
    await seed_one(sequencer, [seeded])
    await sequencer.advance(ONE, [facts([advanced])])
    answer = await reserve(sequencer, wanted("m2", "x", "m1", "y"))
    assert answer.known == {0: slot(advanced), 2: slot(seeded)}
    assert (answer.old, answer.new, answer.first_seq) == ((), (1, 3), 3)


async def test_a_block_without_keys_tells_the_head(sequencer: Sequencer) -> None:
    await seed_one(sequencer, rows_of(1, 2))
    answer = await reserve(sequencer, wanted())
    assert (answer.head, answer.known, answer.old, answer.new) == (2, {}, (), ())
    assert not (await reserve(sequencer, wanted("x"), TWO)).busy  # no new key, no lease
    assert await sequencer.reserve(ONE, []) == []


async def test_c4_keys_that_may_be_below_the_window_are_old(sequencer: Sequencer) -> None:
    await seed_one(sequencer)
    await sequencer.advance(ONE, [facts(rows_of(1, 10))])
    # The window has rows 7..10; row 6, the last to leave it, was created at 6,000.
    assert await state_of(sequencer, wanted("m6", created=6_000)) == "old"
    assert await state_of(sequencer, wanted("m7", created=7_000)) == "known"
    assert await state_of(sequencer, wanted("x", created=6_000)) == "old"
    assert await state_of(sequencer, wanted("x", created=6_001)) == "new"
    # What was looked through must reach up to the window as it is now.
    assert await state_of(sequencer, wanted("x", created=1, looked=5)) == "old"
    assert await state_of(sequencer, wanted("x", created=1, looked=6)) == "new"
    assert await state_of(sequencer, wanted("m9", created=1, looked=6)) == "known"
    await sequencer.advance(ONE, [facts(rows_of(11, 11))])
    assert await state_of(sequencer, wanted("x", created=1, looked=6)) == "old"
    assert await state_of(sequencer, wanted("x", created=1, looked=7)) == "new"
    mixed = await reserve(sequencer, wanted("a", "m11", "b", created=7_000))
    assert (mixed.old, set(mixed.known), mixed.new) == ((0, 2), {1}, ())


async def test_c4_the_newest_of_the_rows_below_counts(sequencer: Sequencer) -> None:
    """createTimes do not grow along a conversation: they are different clients' clocks."""
    await seed_one(sequencer)
    ahead = row(1, created=50_000)
    await sequencer.advance(ONE, [facts([ahead, *rows_of(2, 8)])])
    assert await state_of(sequencer, wanted("x", created=50_000)) == "old"
    assert await state_of(sequencer, wanted("x", created=50_001)) == "new"


async def test_keys_of_rows_from_long_ago_leave_the_window(engines: Engines) -> None:
    config = attrs.evolve(CONFIG, window_rows=100, window_minutes=1)
    async with engines.sequencer(config) as opened:
        sequencer = opened.sequencer
        await seed_one(sequencer)
        past = now_ms() - 120_000
        await sequencer.advance(ONE, [facts([row(1, time=past), row(2, time=past), row(3)])])
        assert await state_of(sequencer, wanted("m2", created=past - 10)) == "old"
        assert await state_of(sequencer, wanted("m3", created=past - 10)) == "known"


# -- leases ----------------------------------------------------------------------------------------


async def test_a_lease_is_for_new_keys_of_one_flush(sequencer: Sequencer) -> None:
    await seed_one(sequencer)
    await sequencer.advance(ONE, [facts(rows_of(1, 6))])
    first = await reserve(sequencer, wanted("x"))
    assert not first.busy
    old = message_key("alice", "m1")
    block = wanted("y", "m6")
    block = attrs.evolve(block, keys=(*block.keys, ReserveKey(old, 1_000)))
    held = await reserve(sequencer, block, TWO)
    assert (held.busy, held.new, set(held.known), held.old) == (True, (), {1}, (2,))
    assert (held.head, held.first_seq) == (6, 7)
    for without_new in (wanted("m6"), wanted("m1", created=1_000)):
        assert not (await reserve(sequencer, without_new, TWO)).busy
    again = await reserve(sequencer, wanted("x", "z"))
    assert (again.busy, again.new) == (False, (0, 1))


async def test_leases_are_of_one_conversation(sequencer: Sequencer) -> None:
    await seed_one(sequencer)
    await seed_one(sequencer, conversation="other")
    await reserve(sequencer, wanted("x"))
    assert not (await reserve(sequencer, wanted("x", conversation="other"), TWO)).busy


async def test_an_advance_ends_the_lease_of_its_token_only(sequencer: Sequencer) -> None:
    await seed_one(sequencer)
    await reserve(sequencer, wanted("m1"))
    assert await sequencer.advance(TWO, [facts([row(1)])]) == [Advanced(1)]
    assert (await reserve(sequencer, wanted("y"), TWO)).busy
    assert await sequencer.advance(ONE, [facts([row(3)])]) == [Behind(1)]
    assert (await reserve(sequencer, wanted("y"), TWO)).busy
    assert await sequencer.advance(ONE, [facts([row(1)])]) == [Advanced(1)]
    assert not (await reserve(sequencer, wanted("y"), TWO)).busy


async def test_release_ends_the_lease_of_its_token_only(sequencer: Sequencer) -> None:
    for conversation in ("c", "other"):
        await seed_one(sequencer, conversation=conversation)
        await reserve(sequencer, wanted("x", conversation=conversation))
    await sequencer.release(TWO, ["c", "other"])
    assert (await reserve(sequencer, wanted("y"), TWO)).busy
    await sequencer.release(ONE, ["c", "unknown"])
    assert not (await reserve(sequencer, wanted("y"), TWO)).busy
    assert (await reserve(sequencer, wanted("y", conversation="other"), TWO)).busy
    assert isinstance((await sequencer.heads(["unknown"]))[0], Unknown)


async def test_a_lease_runs_out(engines: Engines) -> None:
    async with engines.sequencer(attrs.evolve(CONFIG, lease_ms=1)) as opened:
        await seed_one(opened.sequencer)
        await reserve(opened.sequencer, wanted("x"))
        with trio.fail_after(10):
            while (await reserve(opened.sequencer, wanted("y"), TWO)).busy:
                await trio.lowlevel.checkpoint()


# -- unknown, tickets, seeds -----------------------------------------------------------------------


async def test_every_call_says_unknown_with_the_same_ticket(sequencer: Sequencer) -> None:
    [reserved] = await sequencer.reserve(ONE, [wanted("x")])
    [advanced] = await sequencer.advance(TWO, [facts([row(1)])])
    [head] = await sequencer.heads(["c"])
    assert isinstance(head, Unknown)
    assert reserved == advanced == head


async def test_c7_only_what_is_unknown_is_seeded(sequencer: Sequencer) -> None:
    ticket = await ticket_of(sequencer)
    late = SeedBlock("c", ticket, 0, (), 0, ())
    assert await sequencer.seed([late]) == [True]
    await sequencer.advance(ONE, [facts(rows_of(1, 2))])
    assert await sequencer.seed([late]) == [False]
    assert await sequencer.heads(["c"]) == [Head(2, BASE + 2)]


async def test_c8_only_with_the_ticket_of_this_unknown(opened: Opened) -> None:
    sequencer = opened.sequencer
    never_asked = SeedBlock("c", b"made up", 0, (), 0, ())
    assert await sequencer.seed([never_asked]) == [False]
    before = await ticket_of(sequencer)
    assert await sequencer.seed([never_asked]) == [False]
    opened.forget()
    assert await sequencer.seed([SeedBlock("c", before, 0, (), 0, ())]) == [False]
    now = await ticket_of(sequencer)
    assert now != before
    assert await sequencer.seed([SeedBlock("c", before, 0, (), 0, ())]) == [False]
    assert await sequencer.seed([SeedBlock("c", now, 0, (), 0, ())]) == [True]


async def test_what_was_known_may_be_forgotten_and_seeded_again(opened: Opened) -> None:
    sequencer = opened.sequencer
    first = await ticket_of(sequencer)
    await seed_one(sequencer, rows_of(1, 2))
    await reserve(sequencer, wanted("x"))
    opened.forget()
    assert await ticket_of(sequencer) != first
    await seed_one(sequencer, rows_of(1, 3))
    assert await sequencer.heads(["c"]) == [Head(3, BASE + 3)]
    assert not (await reserve(sequencer, wanted("x"), TWO)).busy  # the lease is forgotten, too


async def test_c9_a_seed_publishes_the_head(opened: Opened) -> None:
    sequencer = opened.sequencer
    ticket = await ticket_of(sequencer)
    block = SeedBlock("c", ticket, 2, tuple(rows_of(1, 2)), 0, ("u:a", "u:b"))
    assert await sequencer.seed([block, block]) == [True, False]
    head = bus_message.encode(BusMessage(BusKind.HEAD, "c", 2))
    assert opened.published() == [("u:a", head), ("u:b", head)]


async def test_c5_a_seed_with_a_tail_knows_its_keys_and_what_may_be_below(
    sequencer: Sequencer,
) -> None:
    await seed_one(sequencer, rows_of(1, 9), tail=2)
    assert (await reserve(sequencer, wanted("m8", "m9"))).known == {
        0: slot(row(8)), 1: slot(row(9)),
    }  # fmt: skip
    edge = BASE + 7 + CLOCK_ERROR  # sendTime of row 7 and the allowance for client clocks
    assert await state_of(sequencer, wanted("m7", created=7_000)) == "old"
    assert await state_of(sequencer, wanted("x", created=edge)) == "old"
    assert await state_of(sequencer, wanted("x", created=edge + 1)) == "new"
    assert await state_of(sequencer, wanted("x", created=edge, looked=6)) == "old"
    assert await state_of(sequencer, wanted("x", created=edge, looked=7)) == "new"
    assert (await reserve(sequencer, wanted("x", created=edge, looked=7))).first_seq == 10
    # Rows leave the window: what may be below it moves with it, and the edge never goes back.
    await sequencer.advance(ONE, [facts(rows_of(10, 12))])
    assert await state_of(sequencer, wanted("m8", created=8_000)) == "old"
    assert await state_of(sequencer, wanted("m9", created=9_000)) == "known"
    assert await state_of(sequencer, wanted("x", created=edge, looked=7)) == "old"
    assert await state_of(sequencer, wanted("x", created=edge, looked=8)) == "new"
    assert await state_of(sequencer, wanted("x", created=edge + 1)) == "new"


async def test_a_seed_with_all_rows_leaves_nothing_old(sequencer: Sequencer) -> None:
    await seed_one(sequencer, rows_of(1, 3))
    assert await state_of(sequencer, wanted("x", created=0)) == "new"


async def test_a_seed_may_know_more_than_the_window_holds(sequencer: Sequencer) -> None:
    await seed_one(sequencer, rows_of(1, 6))
    assert await state_of(sequencer, wanted("m1", created=1_000)) == "known"
    await sequencer.advance(ONE, [facts(rows_of(7, 7))])
    assert await state_of(sequencer, wanted("m3", created=3_000)) == "old"
    assert await state_of(sequencer, wanted("m4", created=4_000)) == "known"


async def test_a_seed_may_know_no_keys(sequencer: Sequencer) -> None:
    ticket = await ticket_of(sequencer)
    assert await sequencer.seed([SeedBlock("c", ticket, 5, (), BASE, ())]) == [True]
    assert await sequencer.heads(["c"]) == [Head(5, BASE)]
    assert await state_of(sequencer, wanted("x", created=BASE + CLOCK_ERROR)) == "old"
    answer = await reserve(sequencer, wanted("x", created=BASE + CLOCK_ERROR + 1))
    assert (answer.new, answer.first_seq, answer.send_time) == ((0,), 6, BASE)
    assert await sequencer.advance(ONE, [facts([row(6)])]) == [Advanced(6)]
    assert await state_of(sequencer, wanted("m6")) == "known"


async def test_seeds_of_many_conversations(sequencer: Sequencer) -> None:
    tickets = {name: await ticket_of(sequencer, name) for name in ("a", "b", "d")}
    seeds = [SeedBlock(name, ticket, 0, (), 0, ()) for name, ticket in tickets.items()]
    seeds[1] = attrs.evolve(seeds[1], ticket=b"another")
    assert await sequencer.seed(seeds) == [True, False, True]
    assert await sequencer.seed([]) == []


# -- heads -----------------------------------------------------------------------------------------


async def test_heads_answers_in_order(sequencer: Sequencer) -> None:
    await seed_one(sequencer)
    await seed_one(sequencer, rows_of(1, 3), conversation="other")
    empty, unknown, other, again = await sequencer.heads(["c", "nobody", "other", "c"])
    assert empty == again == Head(0, 0)
    assert isinstance(unknown, Unknown)
    assert other == Head(3, BASE + 3)
    assert await sequencer.heads([]) == []


# -- advance ---------------------------------------------------------------------------------------


async def test_an_advance_moves_the_head_and_publishes_in_order(opened: Opened) -> None:
    sequencer = opened.sequencer
    await seed_one(sequencer)
    await seed_one(sequencer, conversation="other")
    mine = facts(rows_of(1, 3), ("u:alice", "u:bob"))
    silent = attrs.evolve(mine.publications[1], channels=())
    mine = attrs.evolve(mine, publications=(mine.publications[0], silent, mine.publications[2]))
    theirs = facts([row(1, conversation="other")], ("g:g",))
    assert await sequencer.advance(ONE, [mine, theirs]) == [Advanced(3), Advanced(1)]
    assert opened.published() == [
        ("u:alice", b"row 1\0\r\n"),
        ("u:bob", b"row 1\0\r\n"),
        ("u:alice", b"row 3\0\r\n"),
        ("u:bob", b"row 3\0\r\n"),
        ("g:g", b"row 1\0\r\n"),
    ]
    assert await sequencer.heads(["c", "other"]) == [Head(3, BASE + 3), Head(1, BASE + 1)]
    assert await sequencer.advance(ONE, []) == []


async def test_the_same_advance_again_changes_and_publishes_nothing(opened: Opened) -> None:
    sequencer = opened.sequencer
    await seed_one(sequencer)
    await sequencer.advance(ONE, [facts(rows_of(1, 6))])
    opened.published()
    for again in (rows_of(1, 6), rows_of(1, 2), rows_of(6, 6)):
        assert await sequencer.advance(TWO, [facts(again)]) == [Advanced(6)]
    assert opened.published() == []
    assert await state_of(sequencer, wanted("m2", created=2_000)) == "old"
    assert await state_of(sequencer, wanted("m3", created=3_000)) == "known"
    # Rows that overlap: only those above the head are new.
    assert await sequencer.advance(ONE, [facts(rows_of(5, 8))]) == [Advanced(8)]
    assert opened.published() == [("u:bob", b"row 7\0\r\n"), ("u:bob", b"row 8\0\r\n")]


async def test_c2_an_advance_never_jumps(opened: Opened) -> None:
    sequencer = opened.sequencer
    await seed_one(sequencer, rows_of(1, 1))
    assert await sequencer.advance(ONE, [facts(rows_of(3, 4))]) == [Behind(1)]
    assert opened.published() == []
    assert await state_of(sequencer, wanted("m3", created=3_000)) == "new"
    assert await sequencer.advance(ONE, [facts(rows_of(2, 4))]) == [Advanced(4)]


async def test_an_advance_of_an_unknown_conversation_does_nothing(opened: Opened) -> None:
    sequencer = opened.sequencer
    await seed_one(sequencer)
    known, unknown = facts([row(1)]), facts([row(1, conversation="other")])
    answers = await sequencer.advance(ONE, [unknown, known])
    assert isinstance(answers[0], Unknown)
    assert answers[1] == Advanced(1)
    assert opened.published() == [("u:bob", b"row 1\0\r\n")]
    assert await ticket_of(sequencer, "other") == answers[0].ticket


# -- the sequencer is away -------------------------------------------------------------------------


SEQUENCER_CALLS: list[Callable[[Sequencer], Awaitable[object]]] = [
    lambda s: s.reserve(ONE, [wanted("x")]),
    lambda s: s.advance(ONE, [facts([row(1)])]),
    lambda s: s.seed([SeedBlock("c", b"ticket", 0, (), 0, ())]),
    lambda s: s.heads(["c"]),
    lambda s: s.release(ONE, ["c"]),
]


@pytest.mark.parametrize("call", SEQUENCER_CALLS)
async def test_a_sequencer_that_is_away_says_so(
    engines: Engines, call: Callable[[Sequencer], Awaitable[object]]
) -> None:
    async with engines.sequencer(CONFIG, away=True) as opened:
        with pytest.raises(SequencerUnavailable):
            await call(opened.sequencer)


# -- insert ----------------------------------------------------------------------------------------


async def test_rows_come_back_as_they_went_in(rows: RowStore) -> None:
    block = [row(1), row(2, kind=RowKind.TOMBSTONE), row(3, created=7)]
    assert await rows.insert([block]) == [True]
    assert await rows.read_above("c", 0, 10) == block
    assert await rows.insert([]) == []


async def test_c1_a_block_stops_at_its_first_duplicate_key(rows: RowStore) -> None:
    await rows.insert([make_rows("c", 1, 1), make_rows("c", 3, 3)])
    mine = [make_row("c", seq, message_id=f"other {seq}") for seq in (2, 3, 4)]
    assert await rows.insert([mine]) == [False]
    stored = await rows.read_above("c", 0, 10)
    assert stored == [make_row("c", 1), mine[0], make_row("c", 3)]


async def test_blocks_do_not_disturb_each_other(rows: RowStore) -> None:
    await rows.insert([make_rows("b", 1, 1), make_rows("d", 1, 2)])
    blocks = [
        make_rows("a", 1, 1),
        [make_row("b", 1, message_id="other")],
        make_rows("c", 1, 3),
        make_rows("d", 1, 3),
        make_rows("e", 1, 2),
        [],
        make_rows("f", 1, 1),
    ]
    assert await rows.insert(blocks) == [True, False, True, False, True, True, True]
    heads = [tail.head for tail in await rows.tails(["a", "b", "c", "d", "e", "f"], 1)]
    assert heads == [1, 1, 3, 2, 2, 1]
    assert await rows.read_above("b", 0, 1) == make_rows("b", 1, 1)


async def test_the_same_block_again_is_not_stored_by_this_call(rows: RowStore) -> None:
    block = make_rows("c", 1, 2)
    assert await rows.insert([block]) == [True]
    assert await rows.insert([block]) == [False]
    assert await rows.read_above("c", 0, 10) == block


async def test_a_slot_is_written_once_however_many_try(rows: RowStore) -> None:
    winners: list[Row] = []

    async def attempt(number: int) -> None:
        mine = row(1, name=f"attempt {number}")
        if await rows.insert([[mine]]) == [True]:
            winners.append(mine)

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(attempt, number)
    assert await rows.read_above("c", 0, 10) == winners


async def test_an_insert_without_an_answer_is_unclear(engines: Engines) -> None:
    async with engines.rows(away=True) as rows:
        assert await rows.insert([make_rows("a", 1, 1), make_rows("b", 1, 2)]) == [False, False]


# -- reads -----------------------------------------------------------------------------------------


async def test_read_above_is_contiguous_and_bounded(rows: RowStore) -> None:
    await rows.insert([make_rows("c", 1, 6), make_rows("c", 8, 9), make_rows("other", 1, 3)])

    async def above(seq: int, limit: int) -> list[int]:
        return seqs_of(await rows.read_above("c", seq, limit))

    assert await above(0, 50) == [1, 2, 3, 4, 5, 6]  # nothing behind a gap is a fact
    assert await above(2, 3) == [3, 4, 5]
    assert await above(5, 50) == [6]
    assert await above(6, 50) == []
    assert await above(9, 50) == []
    assert await above(0, 0) == []
    assert await rows.read_above("nobody", 0, 5) == []


async def test_tails_have_the_last_rows_and_the_time_below(rows: RowStore) -> None:
    await rows.insert([make_rows("long", 1, 9), make_rows("short", 1, 3)])
    names = ["short", "nobody", "long", "short"]
    short, nobody, long, again = await rows.tails(names, 4)
    assert short == again == Tail(3, tuple(make_rows("short", 1, 3)), 0)
    assert nobody == Tail(0, (), 0)
    assert long == Tail(9, tuple(make_rows("long", 6, 9)), 5_000)
    exact, _ = await rows.tails(["short", "long"], 3)
    assert exact == short
    assert await rows.tails(["long"], 1) == [Tail(9, tuple(make_rows("long", 9, 9)), 8_000)]
    assert await rows.tails([], 4) == []


async def test_tails_show_nothing_behind_a_gap(rows: RowStore) -> None:
    await rows.insert([make_rows("c", 1, 6), make_rows("c", 8, 9)])
    [tail] = await rows.tails(["c"], 4)
    assert tail.head <= 6
    assert seqs_of(tail.rows) == list(range(tail.head - len(tail.rows) + 1, tail.head + 1))


async def test_a_long_conversation(rows: RowStore) -> None:
    head = ROWS_PER_BUCKET + 3
    assert await rows.insert([make_rows("c", 1, head)]) == [True]
    [tail] = await rows.tails(["c"], 6)
    assert tail == Tail(head, tuple(make_rows("c", head - 5, head)), 1_000 * (head - 6))
    above = await rows.read_above("c", ROWS_PER_BUCKET - 2, 4)
    assert above == make_rows("c", ROWS_PER_BUCKET - 1, ROWS_PER_BUCKET + 2)


async def test_find_key_keeps_its_bounds(rows: RowStore) -> None:
    stored = make_rows("c", 1, 9)
    await rows.insert([stored, make_rows("other", 1, 9)])
    for there in stored:
        assert await rows.find_key("c", there.key, 0, 9) == there
    fifth = stored[4]  # at 5,000 ms
    assert await rows.find_key("c", fifth.key, 5_000, 5) == fifth
    assert await rows.find_key("c", fifth.key, 5_001, 9) is None
    assert await rows.find_key("c", fifth.key, 0, 4) is None
    assert await rows.find_key("c", fifth.key, 99_000, 9) is None
    assert await rows.find_key("c", fifth.key, 0, 0) is None
    assert await rows.find_key("other", fifth.key, 0, 9) is None
    assert await rows.find_key("c", b"\0" * 16, 0, 9) is None


async def test_find_key_among_rows_of_one_time(rows: RowStore) -> None:
    stored = [row(seq, time=BASE) for seq in range(1, 6)]
    await rows.insert([stored])
    assert [await rows.find_key("c", each.key, BASE, 5) for each in stored] == stored


async def test_c4_not_found_says_that_all_rows_were_looked_through(rows: RowStore) -> None:
    await rows.insert([make_rows("c", 1, 3)])
    with pytest.raises(StoreUnavailable):
        await rows.find_key("c", b"\0" * 16, 0, 5)


STORE_CALLS: list[Callable[[RowStore], Awaitable[object]]] = [
    lambda r: r.read_above("c", 0, 1),
    lambda r: r.tails(["c"], 1),
    lambda r: r.find_key("c", b"\0" * 16, 0, 1),
]


@pytest.mark.parametrize("call", STORE_CALLS)
async def test_a_store_that_is_away_says_so(
    engines: Engines, call: Callable[[RowStore], Awaitable[object]]
) -> None:
    async with engines.rows(away=True) as rows:
        with pytest.raises(StoreUnavailable):
            await call(rows)
