"""SDKs and servers on bad days: people on a few devices, all that may break between them.

A course draws its devices, settings, weather and faults; people send while faults happen, then all
calms down.  At its end every send has had its definite end, everybody was shown everything once and
in order, and all databases agree.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import trio

from openim_trio.client.errors import SendFailed
from openim_trio.client.model import MessageStatus
from openim_trio.domain.conversations import group_chat, single_chat
from openim_trio.domain.platforms import Platform
from openim_trio.domain.rows import Row, RowKind, message_key
from openim_trio.wire.proto import sdkws_pb2
from tests.simulation.application import Asked
from tests.simulation.determinism import Course
from tests.simulation.devices import Device
from tests.simulation.mortal import simulated_devices
from tests.simulation.server import Backend

PEOPLE = ("alice", "bob", "carol")
GROUP = "g1"
TROUBLE = 8.0
"""seconds in which faults happen"""
PATIENCE = 120.0
"""seconds after which all must be at its end"""
LOOK_EVERY = 0.5
OVER = (MessageStatus.SENT, MessageStatus.FAILED)


class World:
    def __init__(self, course: Course, nursery: trio.Nursery, directory: Path) -> None:
        rng = course.rng
        self.course = course
        self.nursery = nursery
        people = PEOPLE[: rng.choice((2, 2, 3))]
        self.groups = {GROUP: people} if rng.random() < 0.4 else {}
        self.backend = Backend(course, nursery, people, self.groups)
        self.devices = [self._device(user, Platform.LINUX, directory) for user in people]
        if rng.random() < 0.25:
            self.devices.append(self._device(people[0], Platform.ANDROID, directory))
        self._closing = False

    def _device(self, user: str, platform: Platform, directory: Path) -> Device:
        return Device(self.backend, user, platform, directory / platform.name)

    # -- the story ---------------------------------------------------------------------------------

    async def run(self) -> None:
        rng = self.course.rng
        for _ in range(rng.choice((1, 2, 2, 3))):
            await self.backend.start_worker()
        async with trio.open_nursery() as telling:
            for device in self.devices:
                self.nursery.start_soon(self._use, device)
            for number in range(rng.randint(3, 8)):
                telling.start_soon(self._send, f"m{number}")
            telling.start_soon(self._trouble)
        if self.backend.crashes and self.backend.sequencer.rolled_back:
            # Who was to repeat what Redis forgot may be the one that crashed.
            await trio.sleep(TROUBLE)
            await self.backend.touch()
        if await self._at_rest():
            await self._ask_outcomes()
        self._closing = True
        for device in self.devices:
            device.close()
        while any(device.is_open for device in self.devices):  # noqa: ASYNC110 - time is simulated
            await trio.sleep(0.1)

    async def _use(self, device: Device) -> None:
        """Processes, one after the other."""
        await trio.sleep(self.course.rng.choice((0.0, 0.0, 3.0)))
        while not self._closing:
            await device.run()
            await trio.sleep(self.course.rng.choice((0.0, 0.1, 2.0)))

    async def _send(self, name: str) -> None:
        rng = self.course.rng
        device = rng.choice(self.devices)
        await trio.sleep(rng.random() * rng.choice((0.5, TROUBLE)))
        if self.groups and rng.random() < 0.6:
            await device.send(Asked(name, "", GROUP))
        else:
            others = sorted({other.user_id for other in self.devices} - {device.user_id})
            await device.send(Asked(name, rng.choice(others), ""))

    # -- faults ------------------------------------------------------------------------------------

    async def _trouble(self) -> None:
        with trio.move_on_after(TROUBLE):
            async with trio.open_nursery() as nursery:
                await self._faults(nursery)
        backend = self.backend
        self.course.steps_left = 0
        backend.weather.clear_up()
        backend.net.clear_up()
        backend.redis.down = backend.mongo.down = False
        for device in self.devices:
            device.calm_down()
        self.course.note("calm")

    async def _faults(self, nursery: trio.Nursery) -> None:
        rng, backend = self.course.rng, self.backend
        snapshot = backend.sequencer.snapshot()

        def roll_back() -> None:
            nonlocal snapshot
            if rng.random() < 0.5:
                snapshot = backend.sequencer.snapshot()
            else:
                self.course.note("redis goes back")
                backend.sequencer.roll_back(snapshot)
                backend.lose_redis()

        faults: list[Callable[[], object]] = [
            self._crash_worker,
            self._crash_device,
            self._crash_device,
            self._close_device,
            backend.wipe,
            roll_back,
            lambda: nursery.start_soon(self._away, "redis"),
            lambda: nursery.start_soon(self._away, "mongo"),
            lambda: nursery.start_soon(self._full, rng.choice(self.devices)),
            lambda: self.nursery.start_soon(rng.choice(self.devices).log_in_again),
            lambda: rng.choice(self.devices).set_clock(),
            self._lose_bus,
            self._stop_all,
        ]
        chosen = rng.sample(faults, rng.choice((0, 1, 2, 3, 6)))
        pace = rng.choice((0.3, 1.0, 3.0))
        while True:
            await trio.sleep(rng.expovariate(1 / pace))
            if chosen:
                rng.choice(chosen)()

    def _crash_worker(self) -> None:
        if self.backend.workers:
            self.backend.crash(self.course.rng.choice(self.backend.workers))
            self.nursery.start_soon(self._replace_worker)

    def _stop_all(self) -> None:
        for _ in range(len(self.backend.workers)):
            self._crash_worker()

    async def _replace_worker(self) -> None:
        await trio.sleep(self.course.rng.choice((0.0, 0.5, 2.0)))
        await self.backend.start_worker()

    def _crash_device(self) -> None:
        """At some step of some task, soon."""
        device = self.course.rng.choice(self.devices)
        self.course.steps_left = self.course.rng.randint(1, 300)
        self.course.at_step = lambda: device.crash("at a step")

    def _close_device(self) -> None:
        device = self.course.rng.choice(self.devices)
        self.course.note(f"{device} is closed")
        device.close()

    def _lose_bus(self) -> None:
        if self.backend.workers:
            worker = self.course.rng.choice(self.backend.workers)
            self.nursery.start_soon(worker.lose_bus, self.course.rng.random() * 3)

    async def _away(self, name: str) -> None:
        backend = self.backend
        engine = backend.redis if name == "redis" else backend.mongo
        seconds = self.course.rng.choice((0.1, 1.0, 3.0))
        self.course.note(f"{name} is away")
        engine.down = True
        if name == "redis":
            for worker in backend.workers:
                self.nursery.start_soon(worker.lose_bus, seconds)
        await trio.sleep(seconds)
        engine.down = False
        self.course.note(f"{name} is back")

    async def _full(self, device: Device) -> None:
        self.course.note(f"the disk of {device} is full")
        device.disk_full = True
        device.interruptions += 1
        await trio.sleep(self.course.rng.choice((0.2, 2.0)))
        device.disk_full = False

    # -- the end -----------------------------------------------------------------------------------

    async def _at_rest(self) -> bool:
        """Until nothing is to be done any more; blames what is not done in time."""
        with trio.move_on_after(PATIENCE):
            while self._unfinished():  # noqa: ASYNC110 - time is simulated
                await trio.sleep(LOOK_EVERY)
            return True
        self.course.blame("; ".join(self._unfinished()))
        return False

    def _unfinished(self) -> list[str]:
        left: list[str] = []
        for device in self.devices:
            left += [f"{device} is logged out: {why}" for why in device.record.logged_out]
            if not device.is_in_use:
                left.append(f"{device} is not open")
                continue
            left += [f"{device}: {what}" for what in device.unsettled()]
            positions = device.positions()
            for name in self._conversations(device):
                end = len(self.backend.rows.all(name))
                shown = positions[name].shown if name in positions else 0
                if shown < end:
                    left.append(f"{device} has shown {shown} of {end} in {name}")
        return left

    async def _ask_outcomes(self) -> None:
        for device in self.devices:
            assert device.client is not None
            for name, status in device.own().items():
                try:
                    sent = (await device.client.messages.outcome(name)).status
                except SendFailed:
                    sent = MessageStatus.FAILED
                if sent != status:
                    self.course.blame(f"{device}: {name} is {status}, its outcome is {sent}")

    def _conversations(self, device: Device) -> list[str]:
        return [
            name
            for name in self.backend.rows.conversations
            if device.user_id in self._members(name)
        ]

    def _members(self, conversation: str) -> Sequence[str]:
        if conversation == group_chat(GROUP):
            return self.groups[GROUP]
        users = sorted({device.user_id for device in self.devices})
        pairs = {single_chat(a, b): (a, b) for a in users for b in users if a != b}
        return pairs[conversation]

    # -- promises ----------------------------------------------------------------------------------

    def check(self) -> None:
        """Everything is closed."""
        for device in self.devices:
            self._check_sends(device)
            self._check_shown(device)

    def _check_sends(self, device: Device) -> None:
        blame = self.course.blame
        own = device.own()
        rows = self._rows_by_key()
        for asked in device.asked:
            name = asked.name
            kinds = [row.kind for row in rows.get(message_key(device.user_id, name), [])]
            status, ends = own.get(name), device.record.ends.get(name, [])
            if status is None:
                if name in device.queued:
                    blame(f"{device}: {name} was queued and is not there")
                if kinds or ends:
                    blame(f"{device}: {name} was not queued, and there is {kinds} {ends}")
                continue
            if name in device.refused:
                blame(f"{device}: {name} was refused and is there")
            if status not in OVER:
                blame(f"{device}: {name} has no end: {MessageStatus(status).name}")
            sent = status == MessageStatus.SENT
            if kinds.count(RowKind.MESSAGE) != sent:
                blame(f"{device}: {name} is {MessageStatus(status).name}, stored: {kinds}")
            if set(ends) != {sent}:
                blame(f"{device}: {name} is {MessageStatus(status).name}, told: {ends}")
            if len(ends) > 1 + device.interruptions:
                blame(f"{device}: the end of {name} was told {len(ends)} times")
        self._check_order(device)

    def _check_order(self, device: Device) -> None:
        """In each conversation what this device sent stands in the order of its queue."""
        order = list(device.own())
        for name in self._conversations(device):
            stored = [_client_msg_id(row) for row in self._messages(name)]
            mine = [word for word in stored if word in order]
            if mine != sorted(mine, key=order.index):
                self.course.blame(f"{device}: {mine} in {name}, queued as {order}")

    def _check_shown(self, device: Device) -> None:
        blame, record = self.course.blame, device.record
        own, slots, positions = device.own(), device.slots(), device.positions()
        for name in self._conversations(device):
            rows = self.backend.rows.all(name)
            foreign = [row.seq for row in self._messages(name) if _client_msg_id(row) not in own]
            shown, seen = record.shown[name], record.seen[name]
            if len(set(shown)) < len(shown):
                blame(f"{device}: {name} is shown twice: {shown}")
            if seen != foreign:
                blame(f"{device}: {name} is shown as {seen}, there is {foreign}")
            recovered = record.recovered[name]
            if max(recovered.values(), default=0) > device.interruptions:
                blame(f"{device}: {dict(recovered)} recovered, {device.interruptions} crashes")
            held = {seq: word for seq, (word, _) in sorted(slots[name].items())}
            stored = {row.seq: _held(row) for row in rows}
            if held != stored:
                blame(f"{device}: {name} holds {held}, stored is {stored}")
            position, end = positions[name], len(rows)
            if (position.head, position.top, position.gaps) != (end, end, ()):
                blame(f"{device}: {name} ends at {end}, {position}")
            if not position.handed == position.shown == end:
                blame(f"{device}: {name} ends at {end}, not all is counted: {position}")

    def _messages(self, conversation: str) -> list[Row]:
        return [row for row in self.backend.rows.all(conversation) if row.kind is RowKind.MESSAGE]

    def _rows_by_key(self) -> Mapping[bytes, list[Row]]:
        found: dict[bytes, list[Row]] = {}
        for row in self.backend.rows.slots.values():
            found.setdefault(row.key, []).append(row)
        return found


def _client_msg_id(row: Row) -> str:
    return sdkws_pb2.MsgData.FromString(row.data).clientMsgID


def _held(row: Row) -> str:
    return _client_msg_id(row) if row.kind is RowKind.MESSAGE else ""


async def chatting(course: Course) -> None:
    """One course."""
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: ASYNC240
    directory = Path(tempfile.mkdtemp(prefix="simulation-", dir=place))
    try:
        async with trio.open_nursery() as nursery:
            world = World(course, nursery, directory)
            with simulated_devices({device.path: device for device in world.devices}):
                await world.run()
                world.check()
            nursery.cancel_scope.cancel()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
