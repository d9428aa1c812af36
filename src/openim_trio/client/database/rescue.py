"""What can still be read of the sends in a damaged file."""

# ruff: noqa: S608 -- statements are put together from this package's own texts; values are bound

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from openim_trio.client.database import sends
from openim_trio.client.database.opening import connect_read_only
from openim_trio.client.machines.outgoing import PendingSend


def rescue_sends(path: Path) -> list[PendingSend]:
    """The sends of a damaged database that can be read, in their order; [] if none can.

    Some may be missing, and the end of some may have been known already.  Blocks; changes nothing.
    """
    found: dict[int, PendingSend] = {}
    try:
        with closing(connect_read_only(Path(path))) as connection:
            # From both ends: a damaged page stops each of them.
            for order in ("ASC", "DESC"):
                _read(connection, order, found)
    except sqlite3.Error:
        pass
    return [found[place] for place in sorted(found)]


def _read(connection: sqlite3.Connection, order: str, found: dict[int, PendingSend]) -> None:
    try:
        for row in connection.execute(f"SELECT {sends.COLUMNS} FROM sends ORDER BY place {order}"):
            send = sends.send_of(row)
            found[send.order] = send
    except sqlite3.Error:
        return
