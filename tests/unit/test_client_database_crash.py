"""A process that is killed while it writes: what it was told is there, and nothing half."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import trio

from openim_trio.client.database import messages, positions, sends
from openim_trio.client.database.database import Database
from tests.support.local_database import CHAT, python_process

ROUNDS = 6
WRITERS = 3

# Several tasks write, so that transactions hold more than one operation.  Each operation changes
# four tables, and its number is printed when it has committed.
WRITE_FOR_EVER = """
import itertools, sys, trio
from pathlib import Path
from openim_trio.client.database import messages, positions, sends
from openim_trio.client.database.database import Database
from openim_trio.client.machines.position import Position
from tests.support.local_database import CHAT, OWN, pending_send, text_message

numbers = itertools.count(int(sys.argv[2]) + 1)

def operation(number):
    def write(connection):
        sends.queue(connection, pending_send(f"s{number}"))
        messages.insert_own(connection, CHAT, text_message(0, OWN, f"s{number}"))
        found = [text_message(number, text="x" * (number % 2_000))]
        messages.store(connection, CHAT, found, own_user=OWN, offline=False)
        held = Position(f"{CHAT}{number}").hold([number, number + 2])
        positions.save(connection, [held])
    return write

async def write(database):
    for number in numbers:
        await database.write(operation(number), durable=number % 3 == 0)
        print(number, flush=True)

async def main():
    async with Database.open(Path(sys.argv[1])) as database, trio.open_nursery() as nursery:
        for _ in range(int(sys.argv[3])):
            nursery.start_soon(write, database)

trio.run(main)
"""


def facts(connection: sqlite3.Connection) -> dict[str, set[int]]:
    """The numbers that each table has."""
    page = messages.page(connection, CHAT, 0, 1_000_000)
    held = positions.load(connection)
    for position in held:
        number = int(position.conversation_id.removeprefix(CHAT))
        assert position.top == number + 2
        assert not position.holds(number + 1)
    return {
        "stored": {message.seq for message in page if message.seq},
        "own": {int(message.client_msg_id[1:]) for message in page if not message.seq},
        "sends": {int(send.client_msg_id[1:]) for send in sends.pending(connection)},
        "positions": {int(one.conversation_id.removeprefix(CHAT)) for one in held},
    }


async def test_what_was_reported_is_there_and_nothing_half(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    reported: set[int] = set()
    last = 0
    for round_number in range(ROUNDS):
        with python_process(WRITE_FOR_EVER, path, last, WRITERS) as writer:
            assert writer.stdout is not None
            # Kill it after another number of writes each time; some more are under way then.
            for _ in range(1 + 37 * round_number):
                line = await trio.to_thread.run_sync(writer.stdout.readline)
                assert line.strip().isdigit(), "the writer failed"
                reported.add(int(line))
            writer.kill()
            rest = await trio.to_thread.run_sync(writer.stdout.read)
            # A line that was cut off counts for nothing.
            reported.update(map(int, rest.split("\n")[:-1]))
        async with Database.open(path) as database:
            found = await database.read(facts)
        assert found["stored"] == found["own"] == found["sends"] == found["positions"]
        assert reported <= found["stored"]
        last = max(found["stored"])
    assert len(reported) > 37
