"""What came of a run, for reports."""

from __future__ import annotations

from typing import Any

import attrs

from stress.reliability.breaking import Happened
from stress.reliability.comparison import Comparison
from stress.reliability.differences import Difference
from stress.reliability.ledger import Ledger
from stress.reliability.settings import Settings


@attrs.frozen
class Sample:
    """`at`: seconds since the run began."""

    at: float
    online: int
    unresolved: int


@attrs.frozen
class Result:
    """`seconds`: from the first process' start to the last client's end; `talking` of them until
    the last letter was queued and the last fault was over.  `began`: Unix time."""

    settings: Settings
    command: str
    machine: dict[str, Any]
    began: float
    seconds: float
    talking: float
    ledger: Ledger
    samples: list[Sample]
    happened: list[Happened]
    comparison: Comparison
    torn: int

    @property
    def differences(self) -> list[Difference]:
        """All: those that were seen on the way, and those at the end."""
        return [*self.ledger.differences, *self.comparison.differences]
