"""The append protocol as a model: writers, a reader and faults over one `World`.

Every step is atomic in one engine: one Lua call, one row inserted, one read.  Between two steps
anything may happen.  A writer that is not scheduled is a stalled worker; the lease is left out,
since it may run out at any time and so forbids nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tests.model.faults import fault_steps
from tests.model.search import Step
from tests.model.world import (
    KEYS,
    At,
    Conditions,
    Faults,
    Other,
    Reader,
    ReaderAt,
    Redis,
    Request,
    Rows,
    World,
    Writer,
    head_of,
    is_tombstone,
    key_of,
    message,
    replaced,
    shown,
)


class Chain:
    def __init__(
        self,
        requests: Sequence[Request],
        faults: Faults,
        conditions: Conditions | None = None,
        *,
        look_inside: bool = True,
    ) -> None:
        """`look_inside`: also check the map in Redis, not only what clients can see."""
        self.requests = tuple(requests)
        self.conditions = conditions or Conditions()
        self._faults = faults
        self._look_inside = look_inside
        self._keys = 1 + max(key for request in requests for key in request.keys)
        self._lags = faults.failover > 0
        self._alike = [
            [i for i, request in enumerate(requests) if request == kind]
            for kind in dict.fromkeys(requests)
        ]
        self._next: dict[At, Callable[[World, int], Iterator[Step[World]]]] = {
            At.RESERVE: self._reserve,
            At.INSERT: self._insert,
            At.MAJORITY: self._wait_for_majority,
            At.ADVANCE_OWN: self._advance_own,
            At.READ_ABOVE: self._read_above,
            At.ADVANCE_READ: self._advance_read,
            At.READ_TAIL: self._read_tail,
            At.SEED: self._seed,
            At.LOOK_UP: self._look_up,
        }

    def initial(self) -> World:
        size = sum(len(request.keys) for request in self.requests)
        writers = tuple(Writer(At.RESERVE, request.keys) for request in self.requests)
        return World(
            (0,) * size, None, None, None, Reader(), writers, (0,) * self._keys, 0, self._faults
        )

    def steps(self, world: World) -> Iterator[Step[World]]:
        for index, writer in enumerate(world.writers):
            if writer.at in (At.DONE, At.CRASHED):
                continue
            yield from self._next[writer.at](world, index)
            if world.other and not world.other.gone and writer.at in _CALLS:
                yield from self._on_the_old_master(world, index)
        yield from self._reader(world)
        yield from fault_steps(self, world)

    # -- facts in Redis ------------------------------------------------------------------------

    def current(self, redis: Redis | None) -> Redis | None:
        """What the scripts accept: C11 drops the state of another incarnation."""
        if redis is None or (redis.foreign and self.conditions.incarnation):
            return None
        return redis

    def known(self, redis: Redis | None) -> Redis | None:
        facts = self.current(redis)
        return facts if facts is not None and facts.n >= 0 else None

    def visible(self, rows: Rows) -> int:
        """How far a reader of the store sees (C3)."""
        return head_of(rows if self.conditions.majority else tuple(map(abs, rows)))

    def _asked(self, world: World) -> Redis:
        """Redis after it had to say "unknown": with a ticket, a new one after each loss."""
        losses = self._faults.wipe - world.faults.wipe
        losses += self._faults.rollback - world.faults.rollback
        losses += self._faults.split - world.faults.split
        return self.current(world.redis) or Redis(ticket=1 + losses)

    def seeded(self, world: World, head: int, lo: int) -> World:
        keys = self._learn((0,) * self._keys, world.rows, lo, head)
        redis = Redis(head, 0, lo if self.conditions.seed_lo else 1, keys)
        reader = self._publish(world.reader, head) if self.conditions.head_note else world.reader
        return world._replace(redis=redis, reader=reader)

    def may_seed(self, world: World, ticket: int) -> bool:
        if self.known(world.redis):
            return not self.conditions.seed_once
        facts = self.current(world.redis)
        same = facts is not None and facts.ticket == ticket
        return same or not self.conditions.ticket

    def advanced(self, world: World, upto: int) -> World:
        redis = self.known(world.redis)
        assert redis is not None
        if upto <= redis.n:
            return world
        keys = self._learn(redis.keys, world.rows, redis.n + 1, upto)
        return world._replace(
            redis=redis._replace(n=upto, keys=keys), reader=self._publish(world.reader, upto)
        )

    @staticmethod
    def _learn(keys: Rows, rows: Rows, first: int, last: int) -> Rows:
        for seq in range(first, last + 1):
            content = abs(rows[seq - 1])
            if content:
                keys = replaced(keys, key_of(content), 2 * seq + is_tombstone(content))
        return keys

    @staticmethod
    def _publish(reader: Reader, head: int) -> Reader:
        """A subscribed reader takes what it lacks from the message or from the store."""
        deaf = reader.at in (ReaderAt.LOST, ReaderAt.HEAD_READ)
        return reader if deaf or head <= reader.shown else reader._replace(shown=head)

    # -- writers -------------------------------------------------------------------------------

    def moved(self, world: World, index: int, writer: Writer) -> World:
        """Writers of equal requests may be swapped: only one order of them is looked at."""
        writers = [*world.writers[:index], writer, *world.writers[index + 1 :]]
        for group in self._alike:
            if len(group) > 1:
                for place, value in zip(group, sorted(writers[i] for i in group), strict=True):
                    writers[place] = value
        return world._replace(writers=tuple(writers))

    def _step(self, world: World, index: int, writer: Writer, what: str) -> Step[World]:
        request = self.requests[index]
        kind = "give up" if request.give_up else "send"
        who = f"writer {index + 1} ({kind} {'+'.join(KEYS[k] for k in request.keys)})"
        return Step(f"{who}: {what}", self.moved(world, index, writer))

    def _answer(self, world: World, index: int, key: int, slot: int) -> World:
        """Tell the client of a request which slot holds its key: 2*seq + is_tombstone."""
        if not slot & 1:
            return world._replace(
                acks=replaced(world.acks, key, world.acks[key] | 1 << (slot >> 1))
            )
        if self.requests[index].give_up:
            return world._replace(never=world.never | 1 << key)
        return world

    def _reserve(self, world: World, index: int) -> Iterator[Step[World]]:
        writer = world.writers[index]
        redis = self.known(world.redis)
        if redis is None:
            asked = self._asked(world)
            waiting = writer._replace(at=At.READ_TAIL, ticket=asked.ticket)
            yield self._step(world._replace(redis=asked), index, waiting, "reserve: unknown")
            return
        left: list[int] = []
        for key in writer.keys:
            slot = redis.keys[key]
            if not slot and writer.found and 0 < writer.found[key] >> 1 <= redis.n:
                slot = writer.found[key]
            if slot:
                world = self._answer(world, index, key, slot)
            else:
                left.append(key)
        rest = writer.again()._replace(keys=tuple(left))
        if not left:
            yield self._step(world, index, Writer(At.DONE), "reserve: known, answered")
        elif rest.found and any(rest.found[key] for key in left):
            behind = rest._replace(at=At.READ_ABOVE, slot=redis.n)
            yield self._step(world, index, behind, "reserve: stored above n")
        elif self.conditions.cover and rest.looked < redis.lo - 1:
            yield self._step(world, index, rest._replace(at=At.LOOK_UP), "reserve: old")
        elif self.requests[index].give_up and not self.conditions.tombstone_row:
            keys, never = redis.keys, world.never
            for key in left:
                keys, never = replaced(keys, key, 1), never | 1 << key
            marked = world._replace(redis=redis._replace(keys=keys), never=never)
            yield self._step(marked, index, Writer(At.DONE), "reserve: marked as given up")
        else:
            placed = Writer(At.INSERT, rest.keys, redis.n + 1, looked=rest.looked)
            yield self._step(world, index, placed, f"reserve: seq {redis.n + 1}")

    def _insert(self, world: World, index: int) -> Iterator[Step[World]]:
        writer = world.writers[index]
        if writer.stored and writer.term != world.faults.failover:
            yield self._step(world, index, _fresh(writer), "insert: primary lost")
            return
        at = writer.slot + writer.stored
        key = writer.keys[writer.stored]
        refused = writer.refused
        if world.rows[at - 1]:
            refused, what = True, f"insert row {at}: duplicate key"
        else:
            content = self.requests[index].content(key)
            rows = replaced(world.rows, at - 1, -content if self._lags else content)
            world, what = world._replace(rows=rows), f"insert row {at} = {shown(content)}"
        last = writer.stored + 1 == len(writer.keys)
        if refused and (last or self.conditions.ordered):
            writer = _fresh(writer)._replace(at=At.READ_ABOVE, slot=writer.slot - 1)
        elif not last:
            writer = writer._replace(
                stored=writer.stored + 1, refused=refused, term=world.faults.failover
            )
        elif self._lags:
            writer = _fresh(writer)._replace(at=At.MAJORITY, slot=writer.slot)
        else:
            if not self.conditions.late_answer:
                world = self._answer_block(world, index, writer)
            writer = _fresh(writer)._replace(at=At.ADVANCE_OWN, slot=writer.slot)
        yield self._step(world, index, writer, what)

    def _answer_block(self, world: World, index: int, writer: Writer) -> World:
        for offset, key in enumerate(writer.keys):
            seq = writer.slot + offset
            slot = 2 * seq + is_tombstone(world.rows[seq - 1])
            world = self._answer(world, index, key, slot)
        return world

    def _wait_for_majority(self, world: World, index: int) -> Iterator[Step[World]]:
        writer = world.writers[index]
        want = tuple(self.requests[index].content(key) for key in writer.keys)
        have = world.rows[writer.slot - 1 : writer.slot - 1 + len(want)]
        if have == want:
            yield self._step(world, index, writer._replace(at=At.ADVANCE_OWN), "on a majority")
        elif tuple(map(abs, have)) != want:
            yield self._step(world, index, _fresh(writer), "insert: primary lost")

    def _advance_own(self, world: World, index: int) -> Iterator[Step[World]]:
        writer = world.writers[index]
        last = writer.slot + len(writer.keys) - 1
        ready = self._ready(world, index, writer.slot - 1)
        if isinstance(ready, Step):
            yield ready
        else:
            world = self._answer_block(self.advanced(ready, last), index, writer)
            yield self._step(world, index, Writer(At.DONE), f"advance to {last}, answered")

    def _advance_read(self, world: World, index: int) -> Iterator[Step[World]]:
        writer = world.writers[index]
        ready = self._ready(world, index, writer.slot)
        if isinstance(ready, Step):
            yield ready
        else:
            world = self.advanced(ready, writer.read)
            yield self._step(world, index, writer.again(), f"catch up to {writer.read}")

    def _ready(self, world: World, index: int, below: int) -> Step[World] | World:
        """The world if an advance over rows above `below` may go on, else the step that shows why
        not (C2)."""
        writer = world.writers[index]
        redis = self.known(world.redis)
        if redis is None:
            return self._step(world, index, writer.again(), "advance: unknown")
        if redis.n >= below:
            return world
        if self.conditions.contiguous:
            behind = writer.again()._replace(at=At.READ_ABOVE, slot=redis.n)
            return self._step(world, index, behind, f"advance: behind, n = {redis.n}")
        return world._replace(redis=redis._replace(n=below))

    def _read_above(self, world: World, index: int) -> Iterator[Step[World]]:
        writer = world.writers[index]
        head = self.visible(world.rows)
        read = writer._replace(at=At.ADVANCE_READ, read=head)
        yield self._step(world, index, read, f"read above {writer.slot}: rows up to {head}")

    def _read_tail(self, world: World, index: int) -> Iterator[Step[World]]:
        writer = world.writers[index]
        head = self.visible(world.rows)
        for lo in {1, head + 1} if self._faults.evict else {1}:  # any tail is right
            read = writer._replace(at=At.SEED, read=head, lo=lo)
            yield self._step(world, index, read, f"read the tail {lo}..{head}")

    def _seed(self, world: World, index: int) -> Iterator[Step[World]]:
        writer = world.writers[index]
        what = "seed: refused"
        if self.may_seed(world, writer.ticket):
            world, what = self.seeded(world, writer.read, writer.lo), f"seed n = {writer.read}"
        yield self._step(world, index, writer.again(), what)

    def _look_up(self, world: World, index: int) -> Iterator[Step[World]]:
        writer = world.writers[index]
        head = self.visible(world.rows)
        found = self._learn((0,) * self._keys, world.rows, 1, head)
        looked = Writer(At.RESERVE, writer.keys, looked=head, found=found)
        yield self._step(world, index, looked, f"look up in rows 1..{head}")

    def _on_the_old_master(self, world: World, index: int) -> Iterator[Step[World]]:
        """The same call, answered by the old master, to which no reader listens any more."""
        assert world.other is not None
        deaf = world._replace(redis=world.other.redis, reader=Reader(ReaderAt.LOST))
        for step in self._next[world.writers[index].at](deaf, index):
            after = step.state
            assert after.redis is not None
            back = after._replace(redis=world.redis, other=Other(after.redis), reader=world.reader)
            yield Step(f"{step.label} (old master)", back)

    # -- the reader ----------------------------------------------------------------------------

    def _reader(self, world: World) -> Iterator[Step[World]]:
        reader = world.reader
        first = self.conditions.subscribe_first
        if reader.at is ReaderAt.LOST and first:
            yield self._read_on(world, ReaderAt.SUBSCRIBED, "subscribes")
        elif reader.at is ReaderAt.HEAD_READ:
            yield self._read_on(world, ReaderAt.LISTENING, "subscribes")
        elif reader.at in (ReaderAt.LOST, ReaderAt.SUBSCRIBED):
            redis = self.known(world.redis)
            if redis is None:
                asked = self._asked(world)
                waiting = Reader(ReaderAt.TICKET, reader.shown, asked.ticket)
                yield Step(
                    "reader asks for the head: unknown",
                    world._replace(redis=asked, reader=waiting),
                )
            else:
                then = ReaderAt.LISTENING if first else ReaderAt.HEAD_READ
                shown_now = Reader(then, max(reader.shown, redis.n))
                yield Step(f"reader reads head {redis.n}", world._replace(reader=shown_now))
        elif reader.at is ReaderAt.TICKET:
            read = reader._replace(at=ReaderAt.TAIL_READ, read=self.visible(world.rows))
            yield Step(f"reader reads the tail ..{read.read}", world._replace(reader=read))
        elif reader.at is ReaderAt.TAIL_READ:
            back = Reader(ReaderAt.SUBSCRIBED if first else ReaderAt.LOST, reader.shown)
            after = world._replace(reader=back)
            if self.may_seed(world, reader.ticket):
                after = self.seeded(after, reader.read, 1)
            yield Step("reader seeds", after)

    @staticmethod
    def _read_on(world: World, at: ReaderAt, what: str) -> Step[World]:
        return Step(f"reader {what}", world._replace(reader=Reader(at, world.reader.shown)))

    # -- what must hold ------------------------------------------------------------------------

    def violation(self, world: World) -> str:
        here = tuple(map(abs, world.rows))
        majority = head_of(world.rows)
        for key in range(self._keys):
            if sum(key_of(content) == key for content in here if content) > 1:
                return f"two rows of key {KEYS[key]}"
            if world.never >> key & 1 and message(key) in here:
                return f"{KEYS[key]} was told never to come, but its row exists"
            for seq in _bits(world.acks[key]):
                if world.rows[seq - 1] != message(key):
                    return f"{KEYS[key]} was acknowledged at {seq}, which holds something else"
        if self._look_inside and any(here[head_of(here) :]):
            return "a row above an empty slot"
        for redis in (world.redis, world.other and world.other.redis):
            if redis is not None and redis.n >= 0 and (bad := self._false_fact(redis, world.rows)):
                return bad
        if world.reader.shown > majority:
            return f"the reader was shown {world.reader.shown}, rows end at {majority}"
        return ""

    def _false_fact(self, redis: Redis, rows: Rows) -> str:
        if redis.n > head_of(rows):
            return f"Redis says {redis.n} rows, there are {head_of(rows)}"
        for seq in range(redis.lo, redis.n + 1) if self._look_inside else ():
            content = rows[seq - 1]
            if redis.keys[key_of(content)] != 2 * seq + is_tombstone(content):
                return f"Redis claims the keys of {redis.lo}..{redis.n}, but lacks that of {seq}"
        return ""

    def is_good(self, world: World) -> bool:
        """Everybody has an answer, and old and new readers see everything acknowledged."""
        top = max(seq for acks in world.acks for seq in [0, *_bits(acks)])
        redis = self.known(world.redis)
        return (
            all(writer.at in (At.DONE, At.CRASHED) for writer in world.writers)
            and world.reader.at is ReaderAt.LISTENING
            and world.reader.shown >= top
            and world.other is None
            and (redis is None or redis.n >= top)
        )


_CALLS = (At.RESERVE, At.ADVANCE_OWN, At.ADVANCE_READ, At.SEED)


def _fresh(writer: Writer) -> Writer:
    """Reserve again; a look-up's finds are used up, its range is not."""
    return Writer(At.RESERVE, writer.keys, looked=writer.looked)


def _bits(mask: int) -> Iterator[int]:
    bit = 0
    while mask >> bit:
        if mask >> bit & 1:
            yield bit
        bit += 1
