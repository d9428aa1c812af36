"""What is typed into `openim-trio chat`."""

from __future__ import annotations

import pytest

from openim_trio.cli.chat_commands import (
    FORMS,
    BadCommand,
    Command,
    Help,
    History,
    ListConversations,
    Quit,
    Read,
    Retry,
    Revoke,
    Say,
    Search,
    To,
    ToGroup,
    Who,
    help_lines,
    parse,
)


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        ("", None),
        ("  \t", None),
        ("hello", Say("hello")),
        ("  indented ", Say("  indented ")),
        ("//etc/passwd", Say("/etc/passwd")),
        ("/to bob", To("bob")),
        ("/to   bob  ", To("bob")),
        ("/group g1", ToGroup("g1")),
        ("/list", ListConversations()),
        ("/history", History(20)),
        ("/history 500", History(500)),
        ("/older 3", History(3, older=True)),
        ("/search two  words", Search("two  words")),
        ("/revoke 12", Revoke(12)),
        ("/revoke #12", Revoke(12)),
        ("/retry", Retry()),
        ("/retry 7", Retry(7)),
        ("/read", Read()),
        ("/read auto", Read(True)),
        ("/read manual", Read(False)),
        ("/who", Who()),
        ("/help", Help()),
        ("/quit", Quit()),
    ],
)
def test_what_is_understood(typed: str, command: Command | None) -> None:
    assert parse(typed) == command


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        ("/nonsense", "/nonsense: there is no such command; /help lists them"),
        ("/", "/: there is no such command"),
        ("/to", "/to USER: one ID is needed"),
        ("/to bob carol", "/to USER: one ID is needed"),
        ("/history 0", "/history [N]: a number is needed, 1 to 500"),
        ("/history 501", "/history [N]: a number is needed, 1 to 500"),
        ("/history -1", "/history [N]: a number is needed"),
        ("/history ²", "/history [N]: a number is needed"),
        ("/revoke", "/revoke N: a number is needed"),
        ("/revoke " + "9" * 5000, "/revoke N: a number is needed"),
        ("/retry 0", "/retry [N]: a number is needed"),
        ("/search", "/search TEXT: a text is needed"),
        ("/read often", "/read [auto|manual]: only auto or manual may follow"),
        ("/quit now", "/quit: it takes no argument"),
    ],
)
def test_what_is_refused_and_why(typed: str, wrong: str) -> None:
    with pytest.raises(BadCommand) as refused:
        parse(typed)
    assert str(refused.value).startswith(wrong)


def test_help_has_each_command() -> None:
    written = [form.split()[0] for form, does in help_lines() if does]
    assert written[:-1] == list(FORMS)
