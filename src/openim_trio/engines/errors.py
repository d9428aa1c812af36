"""What can go wrong with embedded engines, told to the person who started the program."""

from __future__ import annotations


class EngineError(Exception):
    """An engine does not start, or the data directory cannot be used; the text says what to do."""
