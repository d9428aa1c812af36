"""The local database: one SQLite file a user.

`database` is the file, its lock and its transactions; the other modules are plain functions over a
connection, to be called inside one.
"""
