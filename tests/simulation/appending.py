"""The append pipeline on bad days: several workers, senders that retry, engines that fail.

A course draws its workers, settings and weather, lets senders send while faults happen, then lets
all calm down.  Every promise is looked at: at each step what the engines hold and what senders are
told, at the end that every send has its definite end and that all of it is visible.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio

from openim_trio.append.pipeline import AppendPipeline
from openim_trio.append.ports import RowStore, Sequencer
from openim_trio.append.requests import Append, Appended
from openim_trio.config.model import AppendConfig
from openim_trio.domain.errors import ServiceError
from openim_trio.domain.rows import RowKind
from openim_trio.observability.metrics import Metrics
from tests.simulation.calls import CalledEffects, CalledRows, CalledSequencer, Engine, Life, Weather
from tests.simulation.determinism import Course
from tests.simulation.engines import WatchedRows, WatchedSequencer
from tests.support.appends import chat_with, give_up, send
from tests.support.invariants import Ledger, violations
from tests.support.memory_ports import RecordedEffects

PEERS = ("bob", "carol")
TROUBLE = 3.0
"""seconds in which faults happen"""
AN_ANSWER = 2.0
"""seconds that a sender waits for one"""
THE_END = 120.0
"""seconds after which every send must have its end"""
MINUTE = 60_000
METRICS = Metrics()

Outcome = Appended | ServiceError


@attrs.frozen
class Weakening:
    """A condition of the protocol, taken out."""

    sequencer: type[WatchedSequencer] = WatchedSequencer
    port: Callable[[Sequencer], Sequencer] = lambda port: port
    rows: Callable[[RowStore], RowStore] = lambda port: port
    repeats: bool = True
    gives_up_by_looking: bool = False


KEPT = Weakening()


@attrs.define(eq=False)
class Worker:
    life: Life
    pipeline: AppendPipeline


class World:
    """nursery  of workers and of what is on the wire
    sending  of who waits for an answer
    haste    part of the time of trouble in which senders begin
    doubled  how often a transmission comes twice, on any worker
    """

    def __init__(
        self,
        course: Course,
        nursery: trio.Nursery,
        sending: trio.Nursery,
        weakening: Weakening,
    ) -> None:
        rng = course.rng
        self.course = course
        self.nursery = nursery
        self.sending = sending
        self.weather = Weather.drawn(course)
        self.config = AppendConfig(
            flush_ms=rng.choice((1, 2, 20)),
            flush_max_ms=20,
            batch=rng.choice((1, 2, 200)),
            flights=rng.choice((1, 2, 4)),
            deadline=rng.choice((0.5, 1.5)),
            lease_ms=rng.choice((1, 30, 300)),
            window_rows=rng.choice((1, 2, 3, 256)),
            window_minutes=rng.choice((1, 30)),
        )
        self.rows = WatchedRows()
        self.sequencer = weakening.sequencer(course, self.config, self.rows)
        self.redis = Engine(course, self.weather, nursery)
        self.mongo = Engine(course, self.weather, nursery)
        self.ledger = Ledger()
        self.sequencer.acked = self.ledger.highest
        self.peers = rng.choice((PEERS, PEERS[:1]))
        self.haste = rng.choice((0.1, 0.5, 1.0))
        self.doubled = rng.choice((0.0, 0.1, 0.5))
        self.workers: list[Worker] = []
        self.crashes = 0
        self._weakening = weakening
        self._names = iter(range(1, 1_000))

    # -- workers -----------------------------------------------------------------------------------

    async def start_worker(self) -> Worker:
        life = Life(f"w{next(self._names)}")
        rows = CalledRows(life, self.mongo, self._weakening.rows(self.rows), self.course)
        sequencer = CalledSequencer(life, self.redis, self._weakening.port(self.sequencer))
        pipeline = AppendPipeline(
            sequencer,
            rows,
            CalledEffects(life, self.mongo, RecordedEffects()),
            self.config,
            METRICS,
            now_ms=self.course.now_ms,
        )
        worker = Worker(life, pipeline)
        await self.nursery.start(self._run, worker)
        self.workers.append(worker)
        return worker

    async def _run(self, worker: Worker, *, task_status: trio.TaskStatus[None]) -> None:
        with worker.life.scope:
            await worker.pipeline.run(task_status=task_status)

    def crash(self, worker: Worker) -> None:
        self.course.note(f"{worker.life.name} crashes")
        self.crashes += 1
        self.workers.remove(worker)
        worker.life.crash()

    def any_worker(self) -> Worker:
        return self.course.rng.choice(self.workers)

    # -- asking ------------------------------------------------------------------------------------

    async def ask(self, worker: Worker, append: Append) -> Outcome | None:
        """None: no answer."""
        answered = trio.Event()
        outcomes: list[Outcome] = []

        def done(outcome: Outcome) -> None:
            if not worker.life.alive:
                return  # said to nobody
            assert not outcomes, "answered twice"
            self._on_answer(worker, append, outcome)
            outcomes.append(outcome)
            answered.set()

        with trio.move_on_after(AN_ANSWER):
            await worker.pipeline.submit(append, done)
            await answered.wait()
        return outcomes[0] if outcomes else None

    def _on_answer(self, worker: Worker, append: Append, outcome: Outcome) -> None:
        self.course.note(f"{worker.life.name} says {_said(outcome)} to {_name(append)}")
        self.ledger.note(append, outcome)
        if isinstance(outcome, ServiceError):
            return
        row = self.rows.slots.get((append.conversation, outcome.seq))
        if row is None or row.key != append.key or row.kind is not outcome.kind:
            self.course.blame(f"{_name(append)}: told seq {outcome.seq}, which does not hold it")
        if self.sequencer.told.get(append.conversation, 0) < outcome.seq:
            self.course.blame(f"{_name(append)}: told seq {outcome.seq} before it was visible")

    # -- senders -----------------------------------------------------------------------------------

    async def send(self, word: str) -> None:
        """Until the definite end: delivered, never, or refused for good."""
        rng, course = self.course.rng, self.course
        peer = rng.choice(self.peers)
        await trio.sleep(self.haste * rng.random() * TROUBLE)
        skew = rng.choice((0, 0, -5_000, 5_000, -9 * MINUTE, 9 * MINUTE))
        created = course.now_ms() + skew
        append = send(word, peer=peer, created=created)
        patience = rng.choice((2, 4, 100))
        for attempt in range(1_000):
            gives_up = attempt >= patience
            if gives_up and self._weakening.gives_up_by_looking:
                self._conclude_by_looking(append)
                break
            asked = give_up(word, peer=peer, created=created) if gives_up else append
            if rng.random() < self.doubled:
                self.sending.start_soon(self._late, append)
            outcome = await self.ask(self.any_worker(), asked)
            if outcome is not None and not _retriable(outcome):
                break
            await trio.sleep(rng.random() * 0.3)
        else:
            course.blame(f"{word}: no end")
        if rng.random() < 0.3:
            self.sending.start_soon(self._late, append)

    async def _late(self, append: Append) -> None:
        """A transmission that arrives when it arrives."""
        await trio.sleep(self.course.rng.random() ** 3 * TROUBLE)
        await self.ask(self.any_worker(), append)

    def _conclude_by_looking(self, append: Append) -> None:
        rows = self.rows.conversation(append.conversation)
        if all(row.key != append.key for row in rows):
            self.ledger.never.append(append)

    # -- faults ------------------------------------------------------------------------------------

    async def faults(self) -> None:
        """They end when it is time for calm."""
        with trio.move_on_at(TROUBLE):
            async with trio.open_nursery() as nursery:
                await self._faults(nursery)
        self.weather.clear_up()
        self.redis.down = self.mongo.down = False
        self.course.note("calm")

    async def _faults(self, nursery: trio.Nursery) -> None:
        rng = self.course.rng
        snapshot = self.sequencer.snapshot()
        faults: list[Callable[[], object]] = [
            self._crash_one,
            self._wipe,
            lambda: nursery.start_soon(self._away, "redis", self.redis),
            lambda: nursery.start_soon(self._away, "mongo", self.mongo),
            self._clock_jumps,
        ]
        chosen = rng.sample(faults, rng.randint(0, len(faults)))
        goes_back = rng.random() < 0.3
        pace = rng.choice((0.1, 0.3, 1.0))
        while True:
            await trio.sleep(rng.expovariate(1 / pace))
            if goes_back and rng.random() < 0.4:
                if rng.random() < 0.5:
                    snapshot = self.sequencer.snapshot()
                else:
                    self.course.note("redis goes back")
                    self.sequencer.roll_back(snapshot)
                    self._tell_of_server()
            elif chosen:
                rng.choice(chosen)()

    def _crash_one(self) -> None:
        self.crash(self.any_worker())
        self.nursery.start_soon(self.start_worker)

    def _wipe(self) -> None:
        self.course.note("redis is wiped")
        self.sequencer.wipe()
        self._tell_of_server()

    def _tell_of_server(self) -> None:
        """Sooner or later each worker sees that another server answers."""
        if self._weakening.repeats:
            for worker in self.workers:
                self.sending.start_soon(self._notice, worker)

    async def _notice(self, worker: Worker) -> None:
        await trio.sleep(self.course.rng.choice((0.0, 0.05, 1.0)))
        worker.pipeline.server_changed()

    async def _away(self, name: str, engine: Engine) -> None:
        self.course.note(f"{name} is away")
        engine.down = True
        await trio.sleep(self.course.rng.choice((0.05, 0.5, 1.5)))
        engine.down = False
        self.course.note(f"{name} is back")

    def _clock_jumps(self) -> None:
        """All clocks: as if so much time had passed between two steps."""
        minutes = self.course.rng.choice((1, 2, 11, 31))
        self.course.note(f"{minutes} minutes pass")
        self.course.clock_offset += minutes * MINUTE

    # -- the end -----------------------------------------------------------------------------------

    async def conclude(self) -> None:
        """All is calm and every sender has its end."""
        witness = await self.start_worker()
        repeated = not (self.sequencer.rolled_back and self.crashes)
        for peer in PEERS:
            if repeated:  # else seen at the next touch: who was to repeat it may have crashed
                await self._look(witness, chat_with(peer))
            last = send(f"last to {peer}", peer=peer, created=self.course.now_ms())
            outcome = await self.ask(witness, last)
            if not isinstance(outcome, Appended):
                self.course.blame(f"the last send to {peer} got {outcome}")
            await self._look(witness, chat_with(peer))

    async def _look(self, witness: Worker, conversation: str) -> None:
        """What a new reader is shown, and a connected one."""
        rows = self.rows.all(conversation)
        head = (await witness.pipeline.heads.heads([conversation]))[conversation].seq
        if head < self.ledger.highest(conversation):
            self.course.blame(f"{conversation}: new readers are shown {head}, more is acknowledged")
        facts, told = self.sequencer.known(conversation), self.sequencer.told.get(conversation, 0)
        for found in violations(conversation, rows, facts, told, self.ledger):
            self.course.blame(f"{conversation}: {found}")


async def appending(course: Course, weakening: Weakening = KEPT) -> None:
    """One course."""
    rng = course.rng
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(THE_END) as limit:
            async with trio.open_nursery() as sending:
                world = World(course, nursery, sending, weakening)
                for _ in range(rng.randint(1, 3)):
                    await world.start_worker()
                sending.start_soon(world.faults)
                for number in range(rng.randint(3, 10)):
                    sending.start_soon(world.send, f"m{number}")
            await trio.sleep(TROUBLE)  # what is on the wire arrives
            await world.conclude()
        if limit.cancelled_caught:
            course.blame(f"not at its end after {THE_END:.0f} s")
        for worker in world.workers:
            worker.life.alive = False
        nursery.cancel_scope.cancel()


def _retriable(outcome: Outcome) -> bool:
    return isinstance(outcome, ServiceError) and outcome.retriable


def _name(append: Append) -> str:
    kind = "the give-up of " if append.kind is RowKind.TOMBSTONE else ""
    return f"{kind}{append.key.hex()[:4]} in {append.conversation}"


def _said(outcome: Outcome) -> str:
    if isinstance(outcome, ServiceError):
        return f"{outcome.code.name} {outcome.detail}"
    return f"seq {outcome.seq} {outcome.kind.name}"
