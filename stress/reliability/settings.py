"""What a run is to be."""

from __future__ import annotations

import attrs

from stress.reliability.faults import CLOCK, Kind, timed

MOST_SECONDS_TO_COME = 60.0
SHORTEST_FAULT_SCALE = 0.1


@attrs.frozen(kw_only=True)
class Settings:
    """Times are seconds.

    clients     people, each with a client and a database directory of one's own; half of them send
    processes   they share
    messages    that all send together
    rate        messages a second, all together; 0: as fast as the closed loop goes, or spread over
                the faults where there are any
    in_flight   messages of one person that have no definite end yet; then that person waits
    workers     of the server
    faults      names of `faults.KINDS`
    rounds      how often each of them happens
    seed        repeats who sends what to whom, absences and faults
    scale       of all pauses, absences and lengths of faults
    patience    without anything being queued, acknowledged or received; then it has failed
    """

    clients: int = 50
    processes: int = 10
    messages: int = 100_000
    rate: float = 0.0
    in_flight: int = 8
    workers: int = 2
    faults: tuple[str, ...] = ()
    rounds: int = 1
    seed: int = 0
    scale: float = 1.0
    patience: float = 300.0

    @property
    def kinds(self) -> list[Kind]:
        """Of the faults that come and go."""
        return timed(self.faults)

    @property
    def clocks_are_wrong(self) -> bool:
        return CLOCK in self.faults

    @property
    def seconds_to_come(self) -> float:
        """Within which everybody logs in for the first time."""
        return MOST_SECONDS_TO_COME * self.scale

    @property
    def fault_scale(self) -> float:
        """However short the rest is, a fault has to be noticed."""
        return max(SHORTEST_FAULT_SCALE, self.scale)

    @property
    def mongo_members(self) -> int:
        return 3 if self.kinds else 1


QUICK = Settings(
    clients=10, processes=2, messages=2_000, in_flight=16, scale=0.04, patience=60.0
)  # fmt: skip
"""What `--quick` begins with."""
