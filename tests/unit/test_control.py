"""Control messages survive the bus; what is not known is let go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openim_trio.services import control
from openim_trio.services.control import ControlMessage, OnlineConnection
from openim_trio.wire import bus_message
from openim_trio.wire.bus_message import BusKind


@pytest.mark.parametrize(
    "message",
    [
        control.Kick("u", 1, newcomer=True, spare_token="hash"),
        control.TokensChanged("u"),
        control.UsersChanged(("u", "v")),
        control.MembershipChanged("g", ("u",), ()),
        control.ConversationChanged("u", "si_u_v"),
        control.PresenceChanged("u", "w1", (1, 5)),
        control.PresenceQuery("q", "w1", ("u",)),
        control.PresenceAnswer("q", "w1", {"u": (OnlineConnection(5, "c1", True),)}),
        control.WorkerGone("w1"),
    ],
)
def test_round_trip(message: ControlMessage) -> None:
    item = bus_message.decode(control.encode(message))
    assert item.kind is BusKind.CONTROL
    assert control.decode(item.body) == message


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'["new",{}]', b'["kick",{}]', b'["kick",3]'])
def test_unknown_messages(body: bytes) -> None:
    assert control.decode(body) is None


@given(st.binary(max_size=40))
def test_any_bytes(body: bytes) -> None:
    control.decode(body)
