"""How collections are opened: where reads come from and what a write waits for."""

from __future__ import annotations

from typing import Any, TypeAlias

from bson.codec_options import CodecOptions
from pymongo import ReadPreference
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

Document: TypeAlias = dict[str, Any]
Rows: TypeAlias = Collection[Document]

_OPTIONS: CodecOptions[Document] = CodecOptions(document_class=dict, tz_aware=True)


def durable(database: Database[Document], name: str, timeout: float) -> Rows:
    """Reads: primary, majority (what is read can't be rolled back).  Writes: majority + journal."""
    return database.get_collection(
        name,
        codec_options=_OPTIONS,
        read_preference=ReadPreference.PRIMARY,
        read_concern=ReadConcern("majority"),
        write_concern=WriteConcern("majority", wtimeout=int(timeout * 1000), j=True),
    )


def relaxed(collection: Rows) -> Rows:
    """The same for hints: writes are acknowledged by the primary only and may be lost in a
    failover; reads see them at once."""
    return collection.with_options(write_concern=WriteConcern(1), read_concern=ReadConcern("local"))
