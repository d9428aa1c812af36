"""What stands in a letter: who wrote it, its number, and when it was handed to the client."""

from __future__ import annotations

import attrs

MARK = "letter"


@attrs.frozen
class Signature:
    """`at`: seconds since the run began."""

    sender: str
    number: int
    at: float


def opening(sender: str, number: int) -> str:
    """How the text of that letter begins, and of no other."""
    return f"{MARK} {sender} {number} "


def compose(sender: str, number: int, at: float, padding: int) -> str:
    return f"{opening(sender, number)}{at:.6f} {'.' * padding}"


def signature(text: str) -> Signature | None:
    """None: nobody in this run wrote that."""
    try:
        mark, sender, number, at, _ = text.split(" ", 4)
        return Signature(sender, int(number), float(at)) if mark == MARK else None
    except ValueError:
        return None
