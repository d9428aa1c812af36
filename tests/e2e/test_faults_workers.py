"""Workers that are killed at every step of an append, and servers that are told to stop."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
import trio

from openim_trio.process.drain import GOING_AWAY
from openim_trio.wire.proto import sdkws_pb2
from tests.support import stepping_server
from tests.support.chatter import Chatter, chatting
from tests.support.site import Site
from tests.support.stepping_worker import DEATHS, STEPS, order

ROOT = Path(__file__).parents[2]
STOPS = 3
STOP_LIMIT = 60.0


@pytest.fixture
def site(mongo_uri: str, redis_url: str, tmp_path: Path) -> Site:
    return Site(mongo_uri, redis_url, tmp_path)


# -- SIGKILL ---------------------------------------------------------------------------------------


async def test_a_worker_is_killed_at_each_step(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sent the message sends it again, through the other worker or the next one."""
    deaths = site.directory / "deaths"
    deaths.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv(DEATHS, str(deaths))
    with site.serving(command=stepping_server.COMMAND) as server:
        async with chatting(site, server) as chatter:
            await chatter.more(40)
            for step in STEPS:
                await _die_at(chatter, deaths, step)
                await _die_at(chatter, deaths, step, group=chatter.group)
            await chatter.more(40)
            await chatter.end()
            chatter.check()
    codes = [line["code"] for line in site.log("worker_died")]
    assert codes == [-signal.SIGKILL] * 2 * len(STEPS)


async def _die_at(chatter: Chatter, deaths: Path, step: str, group: str = "") -> None:
    name = f"{step}-{group or 'single'}"
    file = order(deaths, step, "left0", name)
    to = "" if group else "right0"
    line = await chatter.people["left0"].say(name, to=to, group=group, client_msg_id=name)
    assert not file.exists(), f"nobody came to {name}"
    assert line.answers
    assert line.attempts > 1


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
