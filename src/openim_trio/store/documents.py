"""Records as documents: fields under their own names, defaults left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import attrs
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from openim_trio.store.collections import Document, Rows
from openim_trio.store.threads import DUPLICATE_KEY

R = TypeVar("R", bound=attrs.AttrsInstance)

NUL = "\0"
"""between the parts of a composite `_id`; no id of the protocol contains it"""


def composite(first: str, second: str) -> str:
    return f"{first}{NUL}{second}"


def within(first: str) -> Document:
    """All composite ids that start with `first`: one range of the `_id` index."""
    return {"$gte": first + NUL, "$lt": first + "\1"}


def to_document(record: attrs.AttrsInstance, identifier: str, *implied: str) -> Document:
    """`implied`: fields that the identifier holds already."""
    document: Document = {"_id": identifier}
    for field in attrs.fields(type(record)):
        value = getattr(record, field.name)
        if field.name not in implied and value != field.default:
            document[field.name] = value
    return document


def from_document(kind: type[R], document: Mapping[str, Any], **implied: str) -> R:
    """Fields that a newer version wrote are ignored."""
    names = [field.name for field in attrs.fields(kind)]
    return kind(**{name: document[name] for name in names if name in document}, **implied)


def insert_missing(collection: Rows, documents: Sequence[Document]) -> list[int]:
    """Insert those whose `_id` is free, in one command; indexes of the inserted ones."""
    updates = []
    for document in documents:
        fields = {name: value for name, value in document.items() if name != "_id"}
        change = {"$setOnInsert": fields} if fields else {"$setOnInsert": {"_id": document["_id"]}}
        updates.append(UpdateOne({"_id": document["_id"]}, change, upsert=True))
    if not updates:
        return []
    try:
        result = collection.bulk_write(updates, ordered=False)
    except BulkWriteError as error:
        raced = all(entry["code"] == DUPLICATE_KEY for entry in error.details["writeErrors"])
        if not raced or error.details.get("writeConcernErrors"):
            raise
        return sorted(entry["index"] for entry in error.details["upserted"])
    return sorted(result.upserted_ids or {})
