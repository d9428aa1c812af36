"""Versions of the lists that are synced by versions, and small values that must outlive the
process."""

from __future__ import annotations

import sqlite3


def version(connection: sqlite3.Connection, name: str) -> tuple[str, int]:
    """(versionID, version); ("", 0): never synced."""
    found = connection.execute(
        "SELECT version_id, version FROM lists WHERE name = ?", (name,)
    ).fetchone()
    return (found[0], int(found[1])) if found else ("", 0)


def set_version(connection: sqlite3.Connection, name: str, version_id: str, version: int) -> None:
    connection.execute(
        "INSERT INTO lists (name, version_id, version) VALUES (?, ?, ?) ON CONFLICT (name) "
        "DO UPDATE SET version_id = excluded.version_id, version = excluded.version",
        (name, version_id, str(version)),
    )


def get(connection: sqlite3.Connection, name: str, default: str = "") -> str:
    """A small value, or `default` where it was never put."""
    found = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return str(found[0]) if found else default


def put(connection: sqlite3.Connection, name: str, value: str) -> None:
    connection.execute(
        "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) "
        "DO UPDATE SET value = excluded.value",
        (name, value),
    )
