"""The change log of a list that clients sync incrementally (blocking; runs in a thread).

    _id   kind:owner
    vid   random 24 hex digits, given when the document is created
    v     1 on creation, +1 for every write call
    log   [{e element, s state, v version}], ascending, an element at most once
    floor the log is complete for versions above it

A write is one atomic pipeline update, so concurrent writers never skip or repeat a version.
Source of the rules: OpenIM v3.8's incremental sync.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from openim_trio.domain.records import ChangeState, Delta
from openim_trio.store.collections import Document, Rows
from openim_trio.store.threads import DUPLICATE_KEY

SORT_MARKER = "____S_O_R_T_I_D____"
"""Element id that says: the order changed."""
LOG_LIMIT = 300
"""Entries kept.  A client that misses more than 200 reads the whole list anyway."""

_RACES = 5

Changes = Mapping[str, int]
"""Element id -> state."""


def document_id(kind: str, owner: str) -> str:
    return f"{kind}:{owner}"


def bump_one(collection: Rows, identifier: str, changes: Changes) -> tuple[int, str]:
    """One write call; the new version and the version id."""
    for _ in range(_RACES):
        try:
            document: Any = collection.find_one_and_update(
                {"_id": identifier},
                _pipeline(changes),
                {"v": 1, "vid": 1},
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        except DuplicateKeyError:  # somebody else created it
            continue
        return document["v"], document["vid"]
    raise RuntimeError(f"version log {identifier!r} was created again and again")


def bump_all(collection: Rows, changes: Mapping[str, Changes]) -> None:
    """One write call for each document id, all in one command."""
    waiting = list(changes)
    for _ in range(_RACES):
        if not waiting:
            return
        updates = [UpdateOne({"_id": i}, _pipeline(changes[i]), upsert=True) for i in waiting]
        try:
            collection.bulk_write(updates, ordered=False)
        except BulkWriteError as error:
            failed = error.details["writeErrors"]
            raced = all(entry["code"] == DUPLICATE_KEY for entry in failed)
            if not raced or error.details.get("writeConcernErrors"):
                raise
            waiting = [waiting[entry["index"]] for entry in failed]
        else:
            return
    raise RuntimeError("version logs were created again and again")


def _pipeline(changes: Changes) -> list[Document]:
    elements = {"$literal": list(changes)}
    entries = [
        {"e": {"$literal": element}, "s": int(state), "v": "$v"}
        for element, state in changes.items()
    ]
    kept = {
        "$filter": {
            "input": {"$ifNull": ["$log", []]},
            "cond": {"$not": [{"$in": ["$$this.e", elements]}]},
        }
    }
    surplus = {"$subtract": [{"$size": "$log"}, LOG_LIMIT]}
    last_dropped = {"$arrayElemAt": ["$log.v", {"$subtract": [surplus, 1]}]}
    floor = {"$cond": [{"$gt": [surplus, 0]}, last_dropped, {"$ifNull": ["$floor", 0]}]}
    return [
        {
            "$set": {
                "vid": {"$ifNull": ["$vid", secrets.token_hex(12)]},
                "v": {"$add": [{"$ifNull": ["$v", 0]}, 1]},
            }
        },
        {"$set": {"log": {"$concatArrays": [kept, entries]}}},
        {"$set": {"floor": floor}},
        {"$set": {"log": {"$slice": ["$log", -LOG_LIMIT]}}},
    ]


def read(collection: Rows, identifier: str, above: int) -> Document:
    """The document with the log entries above a version; an empty one is created if there is
    none."""
    newer: Document = {"$filter": {"input": "$log", "cond": {"$gt": ["$$this.v", above]}}}
    projection: dict[str, Any] = {"vid": 1, "v": 1, "floor": 1, "log": newer}
    for _ in range(_RACES):
        if document := collection.find_one({"_id": identifier}, projection):
            return document
        empty: Document = {"vid": secrets.token_hex(12), "v": 1, "floor": 0, "log": []}
        try:
            # A write that waits for the majority, so that the next read finds the document.
            collection.update_one({"_id": identifier}, {"$setOnInsert": empty}, upsert=True)
        except DuplicateKeyError:
            continue
    raise RuntimeError(f"version log {identifier!r} vanishes again and again")


def delta_of(document: Document, version_id: str, version: int, limit: int) -> Delta:
    """What a client that knows (version_id, version) has to do.

    `document`: with at least the entries above `version`.  The empty element id (group data
    changed) stays among the updated ones; the sort marker becomes `sort_version`.
    """
    current, stored_id = document["v"], document["vid"]
    full = Delta(full=True, version=current, version_id=stored_id)
    if version_id != stored_id or version <= 0 or version > current:
        return full
    newer = [entry for entry in document["log"] if entry["v"] > version]
    if version < document["floor"] or len(newer) > limit:
        return full
    sort_version = max((entry["v"] for entry in newer if entry["e"] == SORT_MARKER), default=0)
    return Delta(
        full=False,
        version=current,
        version_id=stored_id,
        deleted=_elements(newer, ChangeState.DELETE),
        inserted=_elements(newer, ChangeState.INSERT),
        updated=_elements(newer, ChangeState.UPDATE),
        sort_version=sort_version,
    )


def _elements(entries: Sequence[Document], state: ChangeState) -> tuple[str, ...]:
    return tuple(
        [entry["e"] for entry in entries if entry["s"] == state and entry["e"] != SORT_MARKER]
    )
