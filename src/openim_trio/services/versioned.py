"""Lists that clients sync incrementally (OpenIM v3.8): what they have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import attrs

from openim_trio.domain.id_hash import id_hash
from openim_trio.domain.records import Delta

T = TypeVar("T")


@attrs.frozen(slots=True)
class FullIds:
    """equal: the client's list hashes to the same, `ids` is then left empty."""

    version: int
    version_id: str
    equal: bool
    ids: tuple[str, ...] = ()


@attrs.frozen(slots=True)
class Changes(Generic[T]):
    """full: read the whole list; the others are then empty.  No element is in two of them.
    sort_version: version at which the order changed, 0 if it did not."""

    version: int
    version_id: str
    full: bool
    deleted: tuple[str, ...] = ()
    inserted: tuple[T, ...] = ()
    updated: tuple[T, ...] = ()
    sort_version: int = 0


def full_ids(current: tuple[int, str], ids: Sequence[str], client_hash: int) -> FullIds:
    """`current` must have been read before `ids`: then the client misses nothing later."""
    version, version_id = current
    equal = id_hash(ids) == client_hash
    return FullIds(version, version_id, equal, () if equal else tuple(ids))


def changes(delta: Delta, live: dict[str, T]) -> Changes[T]:
    """With the elements themselves; those that no longer exist are left out."""
    return Changes(
        version=delta.version,
        version_id=delta.version_id,
        full=delta.full,
        deleted=delta.deleted,
        inserted=tuple(live[i] for i in delta.inserted if i in live),
        updated=tuple(live[i] for i in delta.updated if i in live),
        sort_version=delta.sort_version,
    )


def page_of(items: Sequence[T], page_number: int, show_number: int) -> Sequence[T]:
    """Pages count from 1; a size below 1 gives an empty page."""
    if show_number <= 0:
        return ()
    start = (max(page_number, 1) - 1) * show_number
    return items[start : start + show_number]
