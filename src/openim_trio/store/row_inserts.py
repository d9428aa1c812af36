"""Inserting blocks of rows (blocking; runs in a thread).

What comes back is what the server said for certain.  "False" is never a fact about the store: the
row may be somebody else's, may be stored, or may land later.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from pymongo.errors import BulkWriteError, PyMongoError

from openim_trio.store.collections import Document, Rows
from openim_trio.store.threads import DUPLICATE_KEY

MAX_DATA = 15 * 1024 * 1024
"""bytes of MsgData in a row; a MongoDB document holds 16 MiB"""

_log = structlog.get_logger()


def too_large(block: Sequence[Document]) -> bool:
    return any(len(document["d"]) > MAX_DATA for document in block)


def insert_singles(rows: Rows, documents: Sequence[Document]) -> list[bool]:
    """One row of each conversation: order does not matter, one command for all."""
    try:
        rows.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        if _unclear(error):
            return [False] * len(documents)
        refused = {entry["index"] for entry in error.details["writeErrors"]}
        return [index not in refused for index in range(len(documents))]
    except PyMongoError as error:
        _report(error)
        return [False] * len(documents)
    return [True] * len(documents)


def insert_blocks(rows: Rows, blocks: Sequence[Sequence[Document]]) -> list[bool]:
    """Blocks of several rows, one after the other in ordered commands.

    An ordered command stops at the first duplicate key, which ends that block there (C1); the
    blocks behind it, which the server has not touched, are sent again.
    """
    stored = [False] * len(blocks)
    start = 0
    while start < len(blocks):
        try:
            rows.insert_many([row for block in blocks[start:] for row in block], ordered=True)
        except BulkWriteError as error:
            if _unclear(error):
                return stored
            [refusal] = error.details["writeErrors"]
            failed = _block_at(blocks, start, refusal["index"])
            stored[start:failed] = [True] * (failed - start)
            if refusal["code"] != DUPLICATE_KEY:
                _report(error)
                return stored
            start = failed + 1
        except PyMongoError as error:
            _report(error)
            return stored
        else:
            stored[start:] = [True] * (len(blocks) - start)
            break
    return stored


def _unclear(error: BulkWriteError) -> bool:
    """Rows may be on the primary but are not known to be on a majority."""
    if not error.details.get("writeConcernErrors"):
        return False
    _report(error)
    return True


def _block_at(blocks: Sequence[Sequence[Document]], start: int, index: int) -> int:
    """The block that holds the index-th row, counted from the first row of block `start`."""
    for number in range(start, len(blocks)):
        index -= len(blocks[number])
        if index < 0:
            return number
    raise IndexError(index)


def _report(error: PyMongoError) -> None:
    _log.warning("row_insert_unclear", error=type(error).__name__, timeout=error.timeout)
