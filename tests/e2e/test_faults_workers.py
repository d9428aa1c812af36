"""Workers that are killed at every step of an append, and servers that are told to stop."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path

import psutil
import pytest
import trio

from openim_trio.demo.client import connected
from openim_trio.process.drain import GOING_AWAY
from openim_trio.wire.proto import sdkws_pb2
from tests.support import stepping_server
from tests.support.chatter import Chatter, Line, chatting
from tests.support.site import Site
from tests.support.stepping_worker import ORDERS, STEPS, order

ROOT = Path(__file__).parents[2]
SENDER, RECEIVER = "left0", "right0"
STOPS = 2
STOP_LIMIT = 60.0


@pytest.fixture
def site(mongo_uri: str, redis_url: str, tmp_path: Path) -> Site:
    return Site(mongo_uri, redis_url, tmp_path)


@pytest.fixture
def orders(site: Site, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where stepping workers look for orders."""
    directory = site.directory / "orders"
    directory.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv(ORDERS, str(directory))
    return directory


# -- SIGKILL ---------------------------------------------------------------------------------------


async def test_a_worker_is_killed_at_each_step(site: Site, orders: Path) -> None:
    """Whoever sent the message sends it again, through the other worker or the next one."""
    with site.serving(command=stepping_server.COMMAND) as server:
        async with chatting(site, server) as chatter:
            await chatter.more(40)
            for step, group in zip(STEPS, cycle(["", chatter.group]), strict=False):
                await _die_at(chatter, orders, step, group)
                await chatter.more(10)
            await chatter.more(40)
            await chatter.end()
            chatter.check()
    codes = [line["code"] for line in site.log("worker_died")]
    assert codes == [-signal.SIGKILL] * len(STEPS)


async def _die_at(chatter: Chatter, orders: Path, step: str, group: str) -> None:
    name = f"{step}-{group or 'single'}"
    file = order(orders, step, SENDER, name)
    to = "" if group else RECEIVER
    line = await chatter.people[SENDER].say(name, to=to, group=group, client_msg_id=name)
    assert not file.exists(), f"nobody came to {name}"
    assert line.answers
    assert line.attempts > 1


# -- SIGSTOP ---------------------------------------------------------------------------------------


async def test_a_worker_stands_still_at_each_step(site: Site, orders: Path) -> None:
    """Meanwhile the other worker takes the same message and further ones; then the first goes on
    with what it knew."""
    with site.serving(command=stepping_server.COMMAND) as server:
        async with chatting(site, server) as chatter:
            await chatter.more(40)
            for step in STEPS:
                await _stand_still_at(chatter, orders, step, "")
                await _stand_still_at(chatter, orders, step, chatter.group)
            await chatter.more(40)
            await chatter.end()
            chatter.check()
    assert not site.log("worker_died")


async def _stand_still_at(chatter: Chatter, orders: Path, step: str, group: str) -> None:
    name = f"{step}-{group or 'single'}"
    order(orders, step, SENDER, name, signal.SIGSTOP)
    person, to = chatter.people[SENDER], "" if group else RECEIVER
    line = person.line(name, to=to, group=group, client_msg_id=name)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(person.send, line)
        await chatter.until(lambda: bool(_standing(chatter)), f"a worker stands at {name}")
        [standing] = _standing(chatter)
        try:
            await _send_elsewhere(chatter, line, to, group)
        finally:
            standing.resume()
    assert len(line.answers) == 2


def _standing(chatter: Chatter) -> list[psutil.Process]:
    workers = map(psutil.Process, set(chatter.site.workers_started()))
    return [worker for worker in workers if worker.status() == psutil.STATUS_STOPPED]


async def _send_elsewhere(chatter: Chatter, line: Line, to: str, group: str) -> None:
    """Only the other worker accepts connections."""
    person = chatter.people[SENDER]
    further = [person.line(f"further {n}", to=to, group=group) for n in range(3)]
    address, token = chatter.server.ws_address, chatter.tokens[SENDER]
    async with connected(address, SENDER, token) as elsewhere:
        for each in [line, *further]:
            each.answers.append(await elsewhere.send(each.message))


# -- SIGTERM ---------------------------------------------------------------------------------------


async def test_a_server_is_stopped_in_the_middle_of_everything(site: Site) -> None:
    """What it had accepted is answered, everybody is told to go, all processes end well.  What was
    not accepted is sent again, to the next server."""
    with ExitStack() as servers:
        server = servers.enter_context(site.serving())
        async with chatting(site, server) as chatter:
            for _ in range(STOPS):
                await chatter.more(60)
                assert await _stop(chatter) == 0
                assert not _stored_but_not_answered(chatter)
                chatter.server = await trio.to_thread.run_sync(
                    servers.enter_context, site.serving()
                )
            await chatter.more(60)
            await chatter.end()
            chatter.check()
            for person in chatter.people.values():
                assert person.close_codes == [GOING_AWAY] * STOPS
    ended = [line["code"] for line in site.log("worker_ended")]
    assert ended == [0] * 2 * (STOPS + 1)
    bad = {"worker_died", "drain_cut_short", "drain_too_long"}
    assert not [line for line in site.log() if line["event"] in bad]
    assert not any(map(psutil.pid_exists, site.workers_started()))


async def _stop(chatter: Chatter) -> int:
    process = chatter.server.process
    process.send_signal(signal.SIGTERM)
    code = await trio.to_thread.run_sync(process.wait, STOP_LIMIT)
    await chatter.until(
        lambda: all(person.client is None for person in chatter.people.values()),
        "everybody is offline",
    )
    return code


def _stored_but_not_answered(chatter: Chatter) -> list[str]:
    """A drain answers before it closes, so whatever is stored was acknowledged."""
    answered = {line.message.clientMsgID for line in chatter.lines if line.answers}
    rows = [row for rows in chatter.site.stored().values() for row in rows]
    stored = {sdkws_pb2.MsgData.FromString(row.data).clientMsgID for row in rows}
    return sorted(stored - answered)
