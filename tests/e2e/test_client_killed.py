"""A client process dies between storing a message, showing it and counting it; then it comes back.

The child kills itself, so that it is at exactly that step.  What its listener saw is in a file.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from openim_trio.client.database import messages, sends
from openim_trio.client.database.database import Database, database_path
from openim_trio.client.model import MessageStatus

CONVERSATION = "si_alice_bob"
MESSAGES = 30

CHILD = """
import os, signal, sys
from pathlib import Path
import trio
from openim_trio.client import Listener, contents, open_client
from openim_trio.client.errors import InvalidArgument
from openim_trio.client.ledger import Ledger
from openim_trio.client.showing import Showing
from openim_trio.client.sending import Sending
from tests.support.scripted_server import ScriptedServer, row, settings_for

directory, step, after = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
book = os.open(directory / "book", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
steps = 0
IDENTITY = "5" * 32

def at(name):
    global steps
    if name == step:
        steps += 1
        if steps == after:
            os.kill(os.getpid(), signal.SIGKILL)

class Reader(Listener):
    def __init__(self):
        self.seen = set()
    def on_recv_new_message(self, event):
        at("before the callback's effect")
        os.write(book, b"shown %d\\n" % event.message.seq)
        at("after the callback's effect")
        self.seen.add(event.message.seq)
    def on_messages_recovered(self, event):
        for message in event.messages:
            os.write(book, b"recovered %d\\n" % message.seq)
            self.seen.add(message.seq)
    def on_message_sent(self, event):
        os.write(book, b"sent %s\\n" % event.message.client_msg_id.encode())

def around(owner, name, before="", behind=""):
    original = getattr(owner, name)
    async def wrapped(*args, **kwargs):
        at(before)
        result = await original(*args, **kwargs)
        at(behind)
        return result
    setattr(owner, name, wrapped)

around(Ledger, "commit", before="before a commit", behind="after a commit")
around(Showing, "_show", before="handed over")
around(Sending, "queue", behind="queued")
around(Sending, "_stamp", behind="stamped")

record = Sending._record
async def recorded(self):
    some = bool(self._outcomes)
    if some:
        at("before the answer is kept")
    await record(self)
    if some:
        at("after the answer is kept")
Sending._record = recorded

async def main():
    server = ScriptedServer()
    server.rows["si_alice_bob"] = [row("bob", "alice", seq) for seq in range(1, 31)]
    reader = Reader()
    settings = settings_for(directory, page=7)
    async with open_client(settings, dial=server.dial, threads=False) as client:
        client.listen(reader)
        await client.login("alice", "token")
        try:
            await client.messages.send(contents.text("hello"), to="carol", client_msg_id=IDENTITY)
        except InvalidArgument:
            pass  # an earlier life has queued it
        await client.messages.outcome(IDENTITY)
        while 30 not in reader.seen:
            await trio.sleep(0.02)
        for message in server.sends():
            said = message.clientMsgID.encode()
            os.write(book, b"transmitted %s %d\\n" % (said, message.createTime))

trio.run(main)
"""


def run(directory: Path, step: str = "none", after: int = 1) -> int:
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(directory), step, str(after)],
        cwd=Path(__file__).parents[2],
        timeout=60,
        check=False,
        capture_output=True,
    )
    if child.returncode not in (0, -signal.SIGKILL):
        raise AssertionError(child.stderr.decode()[-3000:])
    return child.returncode


@pytest.mark.parametrize(
    ("step", "after"),
    [
        ("before a commit", 2),
        ("before a commit", 4),
        ("after a commit", 2),
        ("after a commit", 5),
        ("handed over", 1),
        ("handed over", 2),
        ("before the callback's effect", 1),
        ("before the callback's effect", 9),
        ("after the callback's effect", 1),
        ("after the callback's effect", 25),
    ],
)
async def test_a_kill_loses_nothing_and_shows_nothing_twice(
    step: str, after: int, tmp_path: Path
) -> None:
    assert run(tmp_path, step, after) == -signal.SIGKILL
    assert run(tmp_path) == 0
    lines = [line.split() for line in (tmp_path / "book").read_text().splitlines()]
    shown = [int(line[1]) for line in lines if line[0] == "shown"]
    recovered = [int(line[1]) for line in lines if line[0] == "recovered"]
    assert len(shown) == len(set(shown)), "shown twice"
    assert shown == sorted(shown)
    assert len(recovered) == len(set(recovered))
    assert set(shown) | set(recovered) == set(range(1, MESSAGES + 1)), "lost"
    async with Database.open(database_path(tmp_path, "alice")) as database:
        stored = await database.read(lambda c: messages.to_show(c, CONVERSATION, 0, MESSAGES, 100))
    assert [message.seq for message in stored] == list(range(1, MESSAGES + 1))


@pytest.mark.parametrize(
    "step", ["queued", "stamped", "before the answer is kept", "after the answer is kept"]
)
async def test_a_kill_loses_no_send_and_makes_no_other_of_it(step: str, tmp_path: Path) -> None:
    """Killed at the first time that the step is done with something to do."""
    assert run(tmp_path, step) == -signal.SIGKILL
    assert run(tmp_path) == 0
    lines = [line.split() for line in (tmp_path / "book").read_text().splitlines()]
    assert {line[1] for line in lines if line[0] == "sent"} == {"5" * 32}
    transmitted = {(line[1], line[2]) for line in lines if line[0] == "transmitted"}
    assert len(transmitted) <= 1, "the same message, createTime and all"
    async with Database.open(database_path(tmp_path, "alice")) as database:
        assert not await database.read(sends.pending)
        found = await database.read(lambda c: messages.get(c, "5" * 32))
    assert found is not None
    assert found.status is MessageStatus.SENT
