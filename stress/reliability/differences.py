"""What may never happen, by name."""

from __future__ import annotations

from enum import StrEnum

import attrs


class Rule(StrEnum):
    """What should have been so."""

    DELIVERED = "what was acknowledged arrives"
    ONCE = "nothing arrives twice"
    FAILED_NEVER = "what failed arrives nowhere"
    DEFINITE_END = "every send has one definite end, and is told it"
    SHOWN = "everything that arrives is shown, once, and in order"
    SAME_ORDER = "sender, receiver and server agree on the order"
    NO_HOLES = "the server's rows are 1..n, each message once"
    NOTHING_FOREIGN = "there is nothing that nobody sent"
    NO_TROUBLE = "nobody has trouble"


@attrs.frozen
class Difference:
    rule: Rule
    what: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.what}"
