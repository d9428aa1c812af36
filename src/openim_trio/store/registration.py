"""Registering several users, all or none, without transactions (blocking; runs in a thread).

User documents go in with a `claim`, which hides them, in the order of their ids.  One update of the
registration's own document from open to done decides for all of them; then the claims are taken
off.  Whoever meets a claim finishes what was decided, or abandons what has been open for long, so
that a crash at any point leaves all or none of the users.

    registrations {_id: claim, state: open | done, at: Unix ms}
    users         {_id, …, claim}         no claim: visible
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence

from pymongo.errors import BulkWriteError, DuplicateKeyError

from openim_trio.append.ports import StoreUnavailable
from openim_trio.domain.errors import Code, ServiceError
from openim_trio.store.collections import Document, Rows
from openim_trio.store.threads import is_unavailable

ABANDONED_AFTER_MS = 60_000
"""Longer than any registration can be at work."""

VISIBLE = {"claim": {"$exists": False}}


def register(users: Rows, registrations: Rows, documents: Sequence[Document]) -> bool:
    """False: another registration of one of these ids is under way; try again soon.

    ServiceError ALREADY_REGISTERED names the ids that exist.
    """
    ids = sorted(document["_id"] for document in documents)
    if not _free(users, registrations, ids):
        return False
    if len(documents) == 1:
        try:
            users.insert_one(documents[0])
        except DuplicateKeyError:
            return False
        return True
    claim = secrets.token_hex(12)
    registrations.insert_one({"_id": claim, "state": "open", "at": _now()})
    ordered = sorted(documents, key=lambda document: str(document["_id"]))
    try:
        users.insert_many([{**document, "claim": claim} for document in ordered], ordered=True)
    except BulkWriteError as error:
        if is_unavailable(error):
            raise
        _withdraw(users, registrations, claim)
        return False
    open_still = {"_id": claim, "state": "open"}
    if not registrations.update_one(open_still, {"$set": {"state": "done"}}).matched_count:
        _withdraw(users, registrations, claim)
        raise StoreUnavailable("the registration took too long and was abandoned")
    _finish(users, registrations, claim)
    return True


def finish_interrupted(users: Rows, registrations: Rows) -> None:
    """What a crashed worker had decided but not finished."""
    for registration in registrations.find({"state": "done"}):
        _finish(users, registrations, registration["_id"])


def _free(users: Rows, registrations: Rows, ids: Sequence[str]) -> bool:
    """True: none of these ids is taken.  False: one is claimed at the moment."""
    taken = list(users.find({"_id": {"$in": ids}}, {"claim": 1}))
    existing = [user["_id"] for user in taken if "claim" not in user]
    if existing:
        names = ", ".join(sorted(existing)[:20])
        raise ServiceError(Code.ALREADY_REGISTERED, f"userID: already registered: {names}")
    for claim in {user["claim"] for user in taken}:
        _resolve(users, registrations, claim)
    return not taken


def _resolve(users: Rows, registrations: Rows, claim: str) -> None:
    registration = registrations.find_one({"_id": claim})
    if registration is None:
        # Over; what still has the claim was inserted by a command that came late.
        users.delete_many({"claim": claim})
    elif registration["state"] == "done":
        _finish(users, registrations, claim)
    elif registration["at"] < _now() - ABANDONED_AFTER_MS:
        abandoned = registrations.delete_one({"_id": claim, "state": "open"})
        if abandoned.deleted_count:
            users.delete_many({"claim": claim})


def _finish(users: Rows, registrations: Rows, claim: str) -> None:
    users.update_many({"claim": claim}, {"$unset": {"claim": ""}})
    registrations.delete_one({"_id": claim})


def _withdraw(users: Rows, registrations: Rows, claim: str) -> None:
    users.delete_many({"claim": claim})
    registrations.delete_one({"_id": claim})


def _now() -> int:
    return time.time_ns() // 1_000_000
