"""A run from the first engine's start to the comparison at the end."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs
import msgspec
import trio

from openim_trio.demo.server import Server
from openim_trio.domain.platforms import Platform
from stress import figures
from stress.reliability import faults
from stress.reliability.breaking import Breaker
from stress.reliability.comparison import Comparison, compare
from stress.reliability.crowd import Crowd
from stress.reliability.differences import Rule
from stress.reliability.evidence import held_by, slots_of
from stress.reliability.faults import Fault
from stress.reliability.journal import Tail, path_of
from stress.reliability.ledger import Counts, Ledger
from stress.reliability.plan import Plan, data_dir
from stress.reliability.proxy_process import Ports
from stress.reliability.result import Result, Sample
from stress.reliability.schedule import Part, cast
from stress.reliability.settings import Settings
from stress.reliability.site import Installation, installation

TICK = 1.0
"""seconds between two looks at the journals"""
LINGER = 2.0
"""seconds after the last arrival, in which nothing more may come"""
EXCUSE_AFTER = 10.0
"""seconds without progress until what only killed people may have seen is left to the comparison"""
FAREWELL_LIMIT = 60.0
EACH_FAULT = 3.0
"""seconds that a fault takes on top of what is planned, about"""
SHORTEST_HURRY = 0.2


@attrs.frozen
class State:
    """For whoever watches.  `total`: letters."""

    phase: str
    at: float
    total: int
    counts: Counts
    online: int
    people: int
    current: Sequence[str]
    differences: int


async def run(
    settings: Settings, directory: Path, command: str, show: Callable[[State], None]
) -> Result:
    """`directory`: empty; databases, journals and logs stay in it.  `show` is called every TICK."""
    parts = cast(settings)
    schedule = faults.drawn(settings.seed, settings.kinds, settings.rounds, settings.fault_scale)
    members = settings.mongo_members
    with installation(directory, workers=settings.workers, members=members) as site:
        with _proxy(site.ports[0]) as ports:
            watch = _Watch(settings, parts, directory, show)
            plans = _plans(settings, parts, schedule, directory, site.server, ports, watch.began)
            users = [part.user for part in parts]
            breaker = Breaker(site, watch.crowd, users, ports.orders, lambda: watch.now)
            try:
                watch.crowd.start(plans)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(breaker.run, schedule, settings.seconds_to_come)
                    await watch.until_talked(breaker)
                    nursery.cancel_scope.cancel()
                await watch.until_settled(breaker)
                await watch.farewell(breaker)
            finally:
                watch.crowd.kill_all()
        comparison = await trio.to_thread.run_sync(_compare, watch.ledger, directory, site)
    return Result(
        settings=settings,
        command=command,
        machine=figures.machine(),
        began=watch.began_at,
        seconds=watch.ended,
        talking=watch.talked,
        ledger=watch.ledger,
        samples=watch.samples,
        happened=breaker.happened,
        comparison=comparison,
        torn=sum(tail.torn for tail in watch.tails.values()),
    )


@contextmanager
def _proxy(target: int) -> Iterator[Ports]:
    process = subprocess.Popen(
        [sys.executable, "-m", "stress.reliability.proxy_process", str(target)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield msgspec.json.decode(process.stdout.readline(), type=Ports)
    finally:
        process.stdin.close()
        process.stdout.close()
        process.kill()
        process.wait()


def _plans(
    settings: Settings,
    parts: Sequence[Part],
    schedule: Sequence[Fault],
    directory: Path,
    server: Server,
    ports: Ports,
    began: float,
) -> list[Plan]:
    """One a process."""
    users = [part.user for part in parts]
    admin = server.admin_token()
    server.register(users, admin)
    tokens = server.tokens(users, admin, Platform.LINUX)
    whole = Plan(
        directory=str(directory),
        ws_address=f"ws://127.0.0.1:{ports.clients}",
        api_address=server.api_address,
        orders_port=ports.orders,
        began=began,
        seed=settings.seed,
        scale=settings.scale,
        hurry=max(SHORTEST_HURRY, settings.scale),
        interval=interval(settings, parts, schedule),
        in_flight=settings.in_flight,
        users=users,
        tokens=tokens,
        parts=[],
    )
    by_process: dict[int, list[Part]] = {}
    for part in parts:
        by_process.setdefault(part.process, []).append(part)
    return [msgspec.structs.replace(whole, parts=found) for found in by_process.values()]


def interval(settings: Settings, parts: Sequence[Part], schedule: Sequence[Fault]) -> float:
    """Seconds between two letters of one person; 0: as fast as the loop goes."""
    rate = settings.rate
    if not rate and schedule:
        planned = faults.planned_seconds(schedule) + EACH_FAULT * len(schedule)
        rate = settings.messages / (settings.seconds_to_come + planned)
    senders = sum(part.letters > 0 for part in parts)
    return senders / rate if rate else 0.0


def _compare(ledger: Ledger, directory: Path, site: Installation) -> Comparison:
    held = {user: held_by(data_dir(directory, user), user) for user in ledger.people}
    return compare(ledger, held, slots_of(site.site.stored()))


class _Watch:
    """Reads the journals while they grow and says when what comes next."""

    def __init__(
        self,
        settings: Settings,
        parts: Sequence[Part],
        directory: Path,
        show: Callable[[State], None],
    ) -> None:
        self.ledger = Ledger(parts)
        self.crowd = Crowd(directory)
        self.tails = {part.user: Tail(path_of(directory, part.user)) for part in parts}
        self.samples: list[Sample] = []
        self.began = time.monotonic()
        self.began_at = time.time()
        self.talked = self.ended = 0.0
        self._patience = settings.patience
        self._show = show
        self._phase = "talking"
        self._progress = 0
        self._progress_at = 0.0

    @property
    def now(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.began

    # -- phases ------------------------------------------------------------------------------------

    async def until_talked(self, breaker: Breaker) -> None:
        """Everybody has handed over every letter and nothing is broken any more."""
        while not (self.ledger.all_queued and breaker.over):
            if not await self._tick(breaker):
                break
        self.talked = self.now
        for happened in breaker.happened:
            if happened.failed:
                self.ledger.blame(Rule.NO_TROUBLE, f"{happened.name}: {happened.what}")

    async def until_settled(self, breaker: Breaker) -> None:
        self._phase = "calm"
        self.crowd.say("calm")
        while not (self.ledger.settled or self._excused()):
            if not await self._tick(breaker):
                break

    async def farewell(self, breaker: Breaker) -> None:
        """Nothing more may come; then everybody goes, in order."""
        lingers_until = self.now + LINGER
        while self.now < lingers_until:
            await self._tick(breaker)
        self._phase = "ending"
        self.crowd.say("stop")
        for problem in await self.crowd.ended(FAREWELL_LIMIT):
            self.ledger.blame(Rule.NO_TROUBLE, problem)
        for problem in self.crowd.dead():
            self.ledger.blame(Rule.NO_TROUBLE, problem)
        self._read()
        for user, person in self.ledger.people.items():
            if not person.ended_well:
                self.ledger.blame(Rule.NO_TROUBLE, f"{user} did not end in order")
        self.ended = self.now

    def _excused(self) -> bool:
        return self.now - self._progress_at > EXCUSE_AFTER and self.ledger.excused()

    # -- looking -----------------------------------------------------------------------------------

    async def _tick(self, breaker: Breaker) -> bool:
        """False: it does not go on."""
        await trio.sleep(TICK)
        self._read()
        counts, ledger = self.ledger.counts, self.ledger
        unresolved = counts.queued - counts.ended
        self.samples.append(Sample(self.now, ledger.online, unresolved))
        self._show(
            State(
                self._phase, self.now, ledger.total, counts, ledger.online, len(ledger.people),
                tuple(breaker.current), len(ledger.differences),
            )
        )  # fmt: skip
        if self._progress != ledger.progress or breaker.current:
            self._progress, self._progress_at = ledger.progress, self.now
        dead = self.crowd.dead()
        if dead:
            return False  # `farewell` says so
        if self.now - self._progress_at > self._patience and not ledger.settled:
            ledger.blame(Rule.NO_TROUBLE, f"no progress for {self._patience:.0f} s: {counts}")
            return False
        return True

    def _read(self) -> None:
        for user, tail in self.tails.items():
            self.ledger.take(user, tail.read())
