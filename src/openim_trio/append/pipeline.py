"""The append pipeline of a worker: a bounded queue, one flusher, a few flights.

The flusher takes what is queued, at most `batch` messages, once the oldest has waited for the
flush window or the batch is full.  Batches are what costs at low rates, so the window grows from
flush_ms to flush_max_ms with the number of flights in progress.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import trio

from openim_trio.append.answers import Answers, Done, Entry, call, unknown_outcome
from openim_trio.append.catch_up import CatchUp
from openim_trio.append.flight import Flight, Tools
from openim_trio.append.heads import Heads
from openim_trio.append.lanes import Block, Lanes
from openim_trio.append.limits import check_create_time
from openim_trio.append.ports import RowStore, Sequencer
from openim_trio.append.recent import RecentAdvances
from openim_trio.append.repeat import Repeater
from openim_trio.append.requests import Append, Appended, SideEffects
from openim_trio.append.room import Room
from openim_trio.append.seed import Seeder
from openim_trio.append.setbacks import Setback, rest
from openim_trio.config.model import AppendConfig
from openim_trio.domain.errors import Code, ServiceError
from openim_trio.observability.metrics import Metrics

DEADLINE_SWEEP = 0.25
"""seconds between two looks at the deadlines"""


def unix_ms() -> int:
    return time.time_ns() // 1_000_000


class AppendPipeline:
    """`heads` answers how far conversations are visible; `server_changed` is to be called when
    another Redis server answers (C13).  `now_ms` is the clock that createTime is checked against.
    """

    def __init__(
        self,
        sequencer: Sequencer,
        rows: RowStore,
        effects: SideEffects,
        config: AppendConfig,
        metrics: Metrics,
        *,
        now_ms: Callable[[], int] = unix_ms,
    ) -> None:
        self._config = config
        self._metrics = metrics
        self._now_ms = now_ms
        seeder = Seeder(sequencer, rows, effects, config, metrics)
        recent = RecentAdvances()
        catch_up = CatchUp(sequencer, rows, effects, recent, metrics)
        self.heads = Heads(sequencer, rows, seeder)
        self._repeater = Repeater(recent, self.heads, catch_up, metrics)
        self._answers = Answers()
        self._answers.on_answered = self._answered
        self._room = Room(config.queue)
        self._lanes = Lanes()
        self._tools = Tools(
            sequencer, rows, effects, seeder, catch_up, self._answers, recent, config, metrics
        )
        self._flying = 0
        self._wake = trio.Event()
        self._empty = trio.Event()
        self._closed = False

    # -- for senders -------------------------------------------------------------------------------

    async def submit(self, append: Append, done: Done) -> None:
        """Queue an append; returns once it is queued, and waits while the queue is full.

        `done` is called once, synchronously, with the answer or the refusal; also when it is
        refused at once.  It must neither block nor raise.  Order: appends to one conversation that
        are submitted one after the other get ascending seqs.
        """
        if not self._refused(append, done):
            await self._room.enter()
            self._enter(append, done)

    def try_submit(self, append: Append, done: Done) -> None:
        """As submit, but raises a retriable ServiceError(DATABASE) when the queue is full."""
        if self._refused(append, done):
            return
        if not self._room.try_enter():
            raise ServiceError(Code.DATABASE, "too many messages are waiting", retriable=True)
        self._enter(append, done)

    async def append(self, append: Append) -> Appended:
        """Submit and wait for the answer.  Raises ServiceError.  When cancelled the append may
        still happen; asking again with the same key is safe."""
        answered = trio.Event()
        outcomes: list[Appended | ServiceError] = []

        def done(outcome: Appended | ServiceError) -> None:
            outcomes.append(outcome)
            answered.set()

        await self.submit(append, done)
        await answered.wait()
        [outcome] = outcomes
        if isinstance(outcome, ServiceError):
            raise outcome
        return outcome

    # -- for others --------------------------------------------------------------------------------

    async def catch_up(self, conversation: str, upto: int) -> None:
        """A session was shown `upto`, so these rows are in the store: make the sequencer know.
        Raises StoreUnavailable and SequencerUnavailable."""
        await self._repeater.make_visible({conversation: upto})

    def server_changed(self) -> None:
        """Another Redis server answers: repeat the last minute's advances there (C13)."""
        self._repeater.server_changed()

    @property
    def waiting(self) -> int:
        """Messages that are not answered yet."""
        return len(self._answers)

    async def drain(self) -> None:
        """Wait until everything that was accepted is answered."""
        while len(self._answers):
            if self._empty.is_set():
                self._empty = trio.Event()
            await self._empty.wait()

    def close(self) -> None:
        """Accept nothing more; what was accepted goes on."""
        self._closed = True
        self._room.open_wide()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Work until cancelled.  Then whoever still waits hears that the outcome is unknown."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._repeater.run)
                nursery.start_soon(self._sweep)
                task_status.started()
                await self._flush_loop(nursery)
        finally:
            self.close()
            self._answers.fail_all(unknown_outcome("the server is shutting down"))

    # -- the queue ---------------------------------------------------------------------------------

    def _refused(self, append: Append, done: Done) -> bool:
        try:
            check_create_time(append.create_time, self._now_ms(), self._config)
        except ServiceError as error:
            call(done, error)
            return True
        return False

    def _enter(self, append: Append, done: Done) -> None:
        if self._closed:
            self._room.leave()
            call(done, unknown_outcome("the server is shutting down"))
            return
        now = trio.current_time()
        before = len(self._answers)
        entry = self._answers.enter(append, done, now, now + self._config.deadline)
        if len(self._answers) == before:
            self._room.leave()  # refused
        if entry is None:
            return
        self._lanes.add(entry)
        if self._lanes.ready == 1 or self._lanes.ready == self._config.batch:
            self._wake.set()

    def _answered(self) -> None:
        self._room.leave()
        if not len(self._answers):
            self._empty.set()

    async def _sweep(self) -> None:
        while True:
            await trio.sleep(min(DEADLINE_SWEEP, self._config.deadline / 4))
            self._answers.expire(trio.current_time())
            self._metrics.queue_depth.labels("append").set(len(self._answers))

    # -- the flusher -------------------------------------------------------------------------------

    async def _flush_loop(self, nursery: trio.Nursery) -> None:
        while True:
            await self._flush_due()
            blocks = self._lanes.take(self._config.batch)
            if blocks:
                self._metrics.batch_messages.observe(sum(len(b.entries) for b in blocks))
                self._flying += 1
                nursery.start_soon(self._fly, blocks)

    async def _flush_due(self) -> None:
        """Return when there is a batch to take and a flight to take it."""
        while True:
            now = trio.current_time()
            self._lanes.wake(now)
            until = self._lanes.next_wake()
            if self._flying < self._config.flights and self._lanes.ready:
                due = self._lanes.oldest + self._window()
                if now >= due or self._lanes.ready >= self._config.batch:
                    return
                until = min(until, due)
            self._wake = trio.Event()
            with trio.move_on_at(until):
                await self._wake.wait()

    def _window(self) -> float:
        config = self._config
        busy = self._flying / config.flights
        return (config.flush_ms + (config.flush_max_ms - config.flush_ms) * busy) / 1000

    async def _fly(self, blocks: Sequence[Block]) -> None:
        try:
            await Flight(self._tools, blocks, self._land).run()
        finally:
            self._flying -= 1
            self._wake.set()

    def _land(self, block: Block, again: Sequence[Entry], setback: Setback | None) -> None:
        lane = block.lane
        lane.setbacks = lane.setbacks + 1 if setback else 0
        rest_until = trio.current_time() + rest(setback, lane.setbacks) if setback else 0.0
        self._lanes.land(block, again, rest_until)
        self._wake.set()
