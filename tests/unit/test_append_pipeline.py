"""The pipeline on engines in memory and trio's mock clock: windows, limits, answers, outages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
import trio.testing

from openim_trio.append import seed
from openim_trio.append.pipeline import AppendPipeline
from openim_trio.append.ports import Tail
from openim_trio.append.requests import Append, Appended
from openim_trio.config.model import AppendConfig
from openim_trio.domain.errors import Code, ServiceError
from openim_trio.domain.rows import RowKind
from openim_trio.observability.metrics import Metrics
from tests.support.appends import CHAT, chat_with, give_up, send
from tests.support.memory_ports import MemoryRows, MemorySequencer, RecordedEffects
from tests.support.pausing import Pauses, PausingSequencer

START = 1_800_000_000_000
Outcome = Appended | ServiceError


@attrs.define
class World:
    sequencer: MemorySequencer
    rows: MemoryRows
    effects: RecordedEffects
    pipeline: AppendPipeline
    pauses: Pauses
    outcomes: list[Outcome] = attrs.field(factory=list)

    async def submit(self, append: Append) -> None:
        await self.pipeline.submit(append, self.outcomes.append)

    def codes(self) -> list[Code]:
        return [o.code for o in self.outcomes if isinstance(o, ServiceError)]

    def seqs(self) -> list[int]:
        return [o.seq for o in self.outcomes if isinstance(o, Appended)]


def now_ms() -> int:
    return START + int(trio.current_time() * 1000)


@asynccontextmanager
async def world(config: AppendConfig | None = None, window: int = 256) -> AsyncIterator[World]:
    config = config or AppendConfig()
    sequencer = MemorySequencer(now_ms, attrs.evolve(config, window_rows=window))
    rows, effects = MemoryRows(), RecordedEffects()
    pauses = Pauses()
    ports = PausingSequencer(sequencer, pauses)
    pipeline = AppendPipeline(ports, rows, effects, config, Metrics(), now_ms=now_ms)
    async with trio.open_nursery() as nursery:
        await nursery.start(pipeline.run)
        yield World(sequencer, rows, effects, pipeline, pauses)
        nursery.cancel_scope.cancel()


def text(word: str, body: str = "", **options: object) -> Append:
    options.setdefault("created", START)
    return send(word, body, **options)  # type: ignore[arg-type]


async def test_a_send_is_stored_published_and_answered(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as w:
        appended = await w.pipeline.append(text("a"))
        assert appended == Appended(1, appended.send_time, RowKind.MESSAGE, first=True)
        [row] = w.rows.conversation(CHAT)
        assert (row.seq, row.send_time) == (1, appended.send_time)
        assert w.effects.rows == [row]
        assert [channel for channel, _ in w.sequencer.published] == ["u:bob", "u:alice"]


async def test_a_retry_gets_the_first_answer(autojump_clock: trio.testing.MockClock) -> None:
    async with world() as w:
        first = await w.pipeline.append(text("a"))
        again = await w.pipeline.append(text("a"))
        assert again == attrs.evolve(first, first=False)
        assert len(w.rows.slots) == 1


async def test_another_body_under_a_used_key_is_refused(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as w:
        await w.pipeline.append(text("a"))
        with pytest.raises(ServiceError) as refused:
            await w.pipeline.append(text("a", "another"))
        assert refused.value.code is Code.DUPLICATE_KEY
        assert "clientMsgID" in refused.value.detail
        assert not refused.value.retriable


async def test_requests_with_one_key_share_a_slot_while_queued(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as w:
        for _ in range(3):
            await w.submit(text("a"))
        await w.submit(text("a", "another"))
        assert w.codes() == [Code.DUPLICATE_KEY]
        await w.pipeline.drain()
        assert w.seqs() == [1, 1, 1]
        assert [o.first for o in w.outcomes if isinstance(o, Appended)] == [True, False, False]


async def test_a_send_after_its_give_up_is_refused_for_good(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as w:
        never = await w.pipeline.append(give_up("a", created=START))
        assert never.kind is RowKind.TOMBSTONE
        with pytest.raises(ServiceError) as refused:
            await w.pipeline.append(text("a"))
        assert refused.value.code is Code.DUPLICATE_KEY
        assert "given up" in refused.value.detail


async def test_a_give_up_of_a_stored_message_says_delivered(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as w:
        sent = await w.pipeline.append(text("a"))
        answer = await w.pipeline.append(give_up("a", created=START))
        assert (answer.kind, answer.seq) == (RowKind.MESSAGE, sent.seq)


async def test_messages_of_one_window_share_a_flush(autojump_clock: trio.testing.MockClock) -> None:
    async with world() as w:
        await w.pipeline.append(text("seed", peer="x1"))
        before = len(w.sequencer.reserves)
        for n in range(20):
            await w.submit(text(str(n), peer="x1"))
        await w.pipeline.drain()
        assert len(w.sequencer.reserves) == before + 1
        assert w.seqs() == list(range(2, 22))


async def test_a_full_batch_does_not_wait_for_the_window(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world(AppendConfig(batch=5, flush_ms=1e6, flush_max_ms=1e6)) as w:
        for n in range(5):
            await w.submit(text(str(n)))
        with trio.fail_after(1):
            while not w.sequencer.reserves:
                await trio.lowlevel.checkpoint()
        assert [len(block.keys) for block in w.sequencer.reserves[0]] == [5]


async def test_at_most_so_many_flights(autojump_clock: trio.testing.MockClock) -> None:
    async with world(AppendConfig(batch=1, flights=2, deadline=1e6)) as w:
        stops = [w.pauses.at("reserve:before") for _ in range(2)]
        for n in range(6):
            await w.submit(text(str(n), peer=f"peer{n}"))
        await trio.sleep(1)
        assert w.pauses.passed == ["reserve:before"] * 2
        for stop in stops:
            stop.go()
        await w.pipeline.drain()
        assert w.seqs() == [1] * 6


async def test_submit_waits_and_try_submit_refuses_when_the_queue_is_full(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world(AppendConfig(queue=2, deadline=1e6)) as w:
        w.sequencer.down = True
        await w.submit(text("1"))
        w.pipeline.try_submit(text("2"), w.outcomes.append)
        with pytest.raises(ServiceError) as refused:
            w.pipeline.try_submit(text("3"), w.outcomes.append)
        assert refused.value.code is Code.DATABASE
        assert refused.value.retriable
        with trio.move_on_after(60) as scope:
            await w.submit(text("3"))
        assert scope.cancelled_caught
        w.sequencer.down = False
        await w.submit(text("3"))
        await w.pipeline.drain()
        assert w.seqs() == [1, 2, 3]


@pytest.mark.parametrize("engine", ["sequencer", "rows", "effects"])
async def test_sends_wait_for_an_engine_and_then_go_on(
    engine: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with world() as w:
        getattr(w, engine).down = True
        await w.submit(text("a"))
        await w.submit(text("b", peer="carol"))
        await trio.sleep(5)
        assert w.outcomes == []
        assert len(w.sequencer.reserves) < 200  # it does not spin
        getattr(w, engine).down = False
        await w.pipeline.drain()
        assert w.seqs() == [1, 1]
        assert len(w.rows.slots) == 2


@pytest.mark.parametrize("engine", ["sequencer", "rows", "effects"])
async def test_a_deadline_answers_that_the_outcome_is_unknown(
    engine: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with world(AppendConfig(deadline=8)) as w:
        getattr(w, engine).down = True
        with pytest.raises(ServiceError) as late, trio.fail_after(9):
            await w.pipeline.append(text("a"))
        assert late.value.code is Code.DATABASE
        assert late.value.retriable
        getattr(w, engine).down = False
        retried = await w.pipeline.append(text("a"))
        assert retried.seq == 1
        assert len(w.rows.slots) == 1


async def test_an_unclear_insert_that_landed_is_found_by_catching_up(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as w:
        w.rows.unclear = 1
        appended = await w.pipeline.append(text("a"))
        assert appended.seq == 1
        assert len(w.rows.slots) == 1
        assert w.effects.rows == w.rows.conversation(CHAT)


async def test_a_wipe_in_the_middle_loses_and_doubles_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as w:
        for n in range(5):
            await w.pipeline.append(text(str(n)))
        w.sequencer.wipe()
        for n in range(8):
            assert (await w.pipeline.append(text(str(n)))).seq == n + 1
        assert len(w.rows.slots) == 8


async def test_an_old_key_is_looked_up_in_the_rows(autojump_clock: trio.testing.MockClock) -> None:
    async with world(window=2) as w:
        for n in range(6):
            await w.pipeline.append(text(str(n)))
        assert w.rows.searches > 0  # all created in the same ms: none is surely new
        retried = await w.pipeline.append(text("0"))
        assert (retried.seq, retried.first) == (1, False)
        assert len(w.rows.slots) == 6


async def test_a_busy_lease_is_waited_out(autojump_clock: trio.testing.MockClock) -> None:
    async with world() as w:
        await w.pipeline.append(text("a"))
        facts = w.sequencer.facts[CHAT]
        facts.lease, facts.lease_until = b"other", now_ms() + 10_000
        await w.submit(text("b"))
        await trio.sleep(5)
        assert w.outcomes == []
        facts.lease = b""
        await w.pipeline.drain()
        assert w.seqs() == [2]


async def test_a_failing_callback_harms_nobody(autojump_clock: trio.testing.MockClock) -> None:
    def broken(outcome: Outcome) -> None:
        raise ValueError("callback")

    async with world() as w:
        await w.pipeline.submit(text("a"), broken)
        await w.submit(text("b"))
        await w.pipeline.drain()
        assert w.seqs() == [2]


async def test_an_unexpected_error_ends_its_own_flight_only(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as w:

        async def broken(rows: object) -> None:
            raise ValueError("effects")

        working = w.effects.apply
        w.effects.apply = broken  # type: ignore[method-assign, assignment]
        with pytest.raises(ServiceError) as failed:
            await w.pipeline.append(text("a"))
        assert failed.value.code is Code.DATABASE
        w.effects.apply = working  # type: ignore[method-assign]
        assert (await w.pipeline.append(text("a"))).seq == 1


async def test_a_clock_far_ahead_is_refused(autojump_clock: trio.testing.MockClock) -> None:
    async with world() as w:
        with pytest.raises(ServiceError) as refused:
            await w.pipeline.append(text("a", created=START + 11 * 60_000))
        assert refused.value.code is Code.ARGS


async def test_an_administrators_send_time_is_shown_but_orders_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as w:
        shown = START - 86_400_000
        answer = await w.pipeline.append(text("a", send_time=shown))
        assert answer.send_time == shown
        [row] = w.rows.conversation(CHAT)
        assert row.send_time >= START
        assert (await w.pipeline.append(text("a", send_time=shown))).send_time == shown


async def test_closing_refuses_what_comes_and_finishes_what_came(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world(AppendConfig(queue=1)) as w:
        await w.submit(text("a"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(w.submit, text("b"))
            await trio.testing.wait_all_tasks_blocked()
            w.pipeline.close()
        await w.submit(text("c"))
        await w.pipeline.drain()
        assert w.seqs() == [1]
        assert w.codes() == [Code.DATABASE] * 2


async def test_stopping_tells_everybody_that_the_outcome_is_unknown(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as w:
        w.sequencer.down = True
        await w.submit(text("a"))
    [outcome] = w.outcomes
    assert isinstance(outcome, ServiceError)
    assert outcome.retriable


async def test_heads_come_from_the_sequencer_a_seed_or_the_store(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as w:
        sent = await w.pipeline.append(text("a"))
        names = [CHAT, chat_with("nobody")]
        for prepare in (lambda: None, w.sequencer.wipe, lambda: setattr(w.sequencer, "down", True)):
            prepare()
            heads = await w.pipeline.heads.heads(names)
            assert [heads[name].seq for name in names] == [1, 0]
            assert heads[CHAT].send_time == sent.send_time


async def test_ends_of_busy_conversations_are_read_in_bounded_steps(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seed, "ROWS_AT_ONCE", 1_280)
    reads: list[tuple[int, int]] = []
    async with world(AppendConfig(batch=2_000)) as w:
        names = [chat_with(f"x{n}") for n in range(12)]
        for n in range(12):
            for m in range(5 if n % 2 else 20):
                await w.submit(text(f"{n}-{m}", peer=f"x{n}"))
        await w.pipeline.drain()
        tails = w.rows.tails

        async def noted(conversations: Sequence[str], limit: int) -> list[Tail]:
            reads.append((len(conversations), limit))
            return await tails(conversations, limit)

        monkeypatch.setattr(w.rows, "tails", noted)
        monkeypatch.setattr(seed, "MIDDLE_TAILS", (18, 128))
        w.sequencer.wipe()
        heads = await w.pipeline.heads.heads(names)
        assert [heads[name].seq for name in names] == [20, 5] * 6
        assert reads == [(12, 16), (6, 18), (6, 128)]
        reads.clear()
        monkeypatch.setattr(seed, "ROWS_AT_ONCE", 500)
        w.sequencer.wipe()
        await w.pipeline.heads.heads(names)
        assert reads == [(12, 16), (6, 18), (3, 128), (3, 128)]
        monkeypatch.setattr(seed, "DEEP_BYTES", 18 * 200)
        reads.clear()
        w.sequencer.wipe()
        await w.pipeline.heads.heads(names)
        assert reads == [(12, 16), (6, 18)]  # more rows would be too many bytes
        monkeypatch.undo()
        w.sequencer.wipe()
        # What was read deeper knows all keys: nothing has to be looked up.
        await w.pipeline.append(text("0-0", peer="x0"))
        assert w.rows.searches == 0


async def test_what_was_caught_up_is_repeated_on_another_server(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as w:
        await w.pipeline.heads.heads([CHAT])
        w.rows.unclear = 1
        w.pauses.at("reserve:before").go()
        reserving_again = w.pauses.at("reserve:before")
        await w.submit(text("a"))
        await reserving_again.reached()
        facts = w.sequencer.facts[CHAT]
        assert facts.n == 1
        facts.n, facts.keys = 0, {}  # another server, which had not heard of row 1
        w.pipeline.server_changed()
        await trio.sleep(1)
        assert facts.n == 1
        assert w.outcomes == []


async def test_what_was_read_from_the_store_in_an_outage_is_told_to_the_sequencer_after_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world(AppendConfig(deadline=2)) as w:
        known = CHAT, chat_with("x1")
        for name in ("a", "b"):
            await w.pipeline.append(text(name, peer="bob" if name == "a" else "x1"))
        advancing = w.pauses.at("advance:before")
        await w.submit(text("c"))
        await advancing.reached()
        w.sequencer.down = True
        advancing.go()
        await trio.sleep(5)
        assert w.codes() == [Code.DATABASE]  # nobody waits for row 2 any more
        w.sequencer.published.clear()
        wiped = w.sequencer.facts.pop(known[1])
        heads = await w.pipeline.heads.heads([*known, "nobody's"])
        assert [head.seq for head in heads.values()] == [2, 1, 0]
        w.sequencer.down = False
        await trio.sleep(5)
        assert w.sequencer.facts[CHAT].n == 2
        assert [channel for channel, _ in w.sequencer.published] == ["u:bob", "u:alice"]
        assert wiped.n == 1
        assert w.sequencer.facts[known[1]].n is None  # its next touch seeds it


async def test_recent_advances_are_repeated_on_another_server(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as w:
        await w.pipeline.append(text("a"))
        facts = w.sequencer.facts[CHAT]
        facts.n, facts.keys = 0, {}  # another server, which had not heard of row 1
        w.sequencer.published.clear()
        w.pipeline.server_changed()
        await trio.sleep(1)
        assert facts.n == 1
        assert [channel for channel, _ in w.sequencer.published] == ["u:bob", "u:alice"]
