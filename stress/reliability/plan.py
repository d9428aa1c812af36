"""What a client process is told at its start, as a file."""

from __future__ import annotations

from pathlib import Path

import msgspec

from openim_trio.client import Settings
from openim_trio.client.settings import wall_clock_ms
from stress.reliability.schedule import Part

SILENCE, PING, CONNECT, FIRST_WAIT, LONGEST_WAIT = 30.0, 24.0, 15.0, 0.5, 16.0
"""seconds; the client's own defaults"""


class Plan(msgspec.Struct, frozen=True):
    """For one process; all processes' differ in `parts` only.

    directory     databases and journals
    began         time.monotonic() of the run's begin: all processes have the same clock
    interval      seconds between two letters of one person; 0: as the loop goes
    hurry         share of its usual waits after which a client notices silence and connects again
    """

    directory: str
    ws_address: str
    api_address: str
    orders_port: int
    began: float
    seed: int
    scale: float
    hurry: float
    interval: float
    in_flight: int
    users: list[str]
    tokens: dict[str, str]
    parts: list[Part]

    def write(self, path: Path) -> None:
        path.write_bytes(msgspec.json.encode(self))

    def settings(self, part: Part) -> Settings:
        """Of this person's client."""
        return Settings(
            ws_address=self.ws_address,
            api_address=self.api_address,
            data_dir=self.data_dir(part.user),
            send_deadline=part.deadline,
            silence_limit=SILENCE * self.hurry,
            ping_interval=PING * self.hurry,
            connect_timeout=CONNECT * self.hurry,
            first_wait=FIRST_WAIT * self.hurry,
            longest_wait=LONGEST_WAIT * self.hurry,
            clock=lambda: wall_clock_ms() + part.clock_ms,
        )

    def data_dir(self, user: str) -> Path:
        return data_dir(Path(self.directory), user)

    @staticmethod
    def read(path: Path) -> Plan:
        return msgspec.json.decode(path.read_bytes(), type=Plan)


def data_dir(directory: Path, user: str) -> Path:
    """Where the user's client keeps its database."""
    return directory / "clients" / user
