"""Changes of conversation rows that clients learn of through the version log (blocking; runs in a
thread).

A changed row carries a mark until the log has the change: `unlogged {k token, s state}`.  So when
the log could not be written, the same call, made again, finds nothing to change but still logs it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence

import attrs
from pymongo import UpdateOne

from openim_trio.domain.records import ChangeState, ConversationRecord
from openim_trio.store.collections import Document, Rows, relaxed
from openim_trio.store.documents import composite, insert_missing, to_document
from openim_trio.store.version_log import bump_all, document_id

DEFAULTS: dict[str, object] = {
    field.name: field.default
    for field in attrs.fields(ConversationRecord)
    if field.name not in ("owner_user_id", "conversation_id")
}


def row_id(record: ConversationRecord) -> str:
    return composite(record.owner_user_id, record.conversation_id)


def ensure(
    conversations: Rows, versions: Rows, records: Mapping[str, ConversationRecord]
) -> list[str]:
    """Insert the missing ones (by `_id`); the `_id`s of those that were inserted."""
    known = {
        row["_id"]: row.get("unlogged")
        for row in conversations.find({"_id": {"$in": list(records)}}, {"unlogged": 1})
    }
    unlogged = _still_unlogged(conversations, [i for i, mark in known.items() if mark])
    missing = [identifier for identifier in records if identifier not in known]
    mark = _mark(ChangeState.INSERT)
    documents = [
        {**to_document(records[identifier], identifier, "owner_user_id"), "unlogged": mark}
        for identifier in missing
    ]
    inserted = [missing[index] for index in insert_missing(conversations, documents)]
    log(conversations, versions, {**unlogged, **dict.fromkeys(inserted, mark)})
    return inserted


def change(
    conversations: Rows, versions: Rows, changes: Mapping[str, Mapping[str, object]]
) -> list[str]:
    """Set fields of existing rows (by `_id`); the `_id`s of those that really changed."""
    rows = {row["_id"]: row for row in conversations.find({"_id": {"$in": list(changes)}})}
    mark = _mark(ChangeState.UPDATE)
    updates = {
        identifier: UpdateOne({"_id": identifier}, {"$set": {**wanted, "unlogged": mark}})
        for identifier, wanted in changes.items()
        if identifier in rows and _differs(rows[identifier], wanted)
    }
    if updates:
        conversations.bulk_write(list(updates.values()), ordered=False)
    marked = [i for i, row in rows.items() if "unlogged" in row and i not in updates]
    unlogged = _still_unlogged(conversations, marked)
    log(conversations, versions, {**unlogged, **dict.fromkeys(updates, mark)})
    return list(updates)


def raise_bounds(
    conversations: Rows, versions: Rows, raises: Mapping[str, Mapping[str, int]]
) -> None:
    """Raise min_seq and read_seq of existing rows (by `_id`), never lower them; logged."""
    found = conversations.find({"_id": {"$in": list(raises)}}, {"_id": 1})
    existing = [row["_id"] for row in found]
    mark = _mark(ChangeState.UPDATE)
    updates = [
        UpdateOne({"_id": i}, {"$max": dict(raises[i]), "$set": {"unlogged": mark}})
        for i in existing
    ]
    if updates:
        conversations.bulk_write(updates, ordered=False)
        log(conversations, versions, dict.fromkeys(existing, mark))


def log(conversations: Rows, versions: Rows, marks: Mapping[str, Document]) -> None:
    """Log what the marks say, one version for each owner, and take the marks off."""
    if not marks:
        return
    changes: dict[str, dict[str, int]] = {}
    for identifier, mark in marks.items():
        owner, _, conversation = identifier.partition("\0")
        changes.setdefault(document_id("conversation", owner), {})[conversation] = mark["s"]
    bump_all(versions, changes)
    # A mark that stays by accident only means that the change is logged twice.
    taken_off = relaxed(conversations)
    for token, identifiers in _by_token(marks).items():
        chosen = {"_id": {"$in": identifiers}, "unlogged.k": token}
        taken_off.update_many(chosen, {"$unset": {"unlogged": ""}})


def delete(
    conversations: Rows, versions: Rows, owner: str, conversation_ids: Sequence[str]
) -> None:
    """Logged for all that were asked for, so that a repeated call repairs an interrupted one."""
    chosen = [composite(owner, conversation_id) for conversation_id in conversation_ids]
    conversations.delete_many({"_id": {"$in": chosen}})
    gone = dict.fromkeys(conversation_ids, int(ChangeState.DELETE))
    bump_all(versions, {document_id("conversation", owner): gone})


def raise_read_seqs(conversations: Rows, read_seqs: Iterable[tuple[str, int]]) -> None:
    """(`_id`, seq) each; not logged, since clients learn read seqs elsewhere."""
    updates = [UpdateOne({"_id": i}, {"$max": {"read_seq": seq}}) for i, seq in read_seqs]
    conversations.bulk_write(updates, ordered=False)


def _differs(row: Document, wanted: Mapping[str, object]) -> bool:
    return any(row.get(name, DEFAULTS[name]) != value for name, value in wanted.items())


def _still_unlogged(conversations: Rows, identifiers: Sequence[str]) -> dict[str, Document]:
    """A majority read may show a mark that was just taken off; whoever took it off had logged the
    change for good, so the newest state counts here."""
    if not identifiers:
        return {}
    chosen = {"_id": {"$in": list(identifiers)}, "unlogged": {"$exists": True}}
    found = relaxed(conversations).find(chosen, {"unlogged": 1})
    return {row["_id"]: row["unlogged"] for row in found}


def _mark(state: ChangeState) -> Document:
    return {"k": secrets.token_hex(8), "s": int(state)}


def _by_token(marks: Mapping[str, Document]) -> dict[str, list[str]]:
    tokens: dict[str, list[str]] = {}
    for identifier, mark in marks.items():
        tokens.setdefault(mark["k"], []).append(identifier)
    return tokens
