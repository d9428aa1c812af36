"""The client SDK: OpenIM for Python and Trio, with a definite end for every send.

    async with open_client(settings) as client:
        client.listen(MyListener())
        await client.login("alice", token)
        await client.messages.send(contents.text("hello"), to="bob")

Messages live in a local database: what is sent survives restarts, what comes is stored before it
is shown, and is shown once.  docs/python-sdk.md explains it and maps every function to its OpenIM
name.
"""

from openim_trio.client import contents, errors, events
from openim_trio.client.client import Client, open_client
from openim_trio.client.events import Listener
from openim_trio.client.model import (
    Conversation,
    LoginStatus,
    Message,
    MessageStatus,
    ReadReceipt,
    Revocation,
)
from openim_trio.client.settings import Settings

__all__ = [
    "Client",
    "Conversation",
    "Listener",
    "LoginStatus",
    "Message",
    "MessageStatus",
    "ReadReceipt",
    "Revocation",
    "Settings",
    "contents",
    "errors",
    "events",
    "open_client",
]
