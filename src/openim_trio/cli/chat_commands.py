"""What is typed: a text to send, or a command that begins with a slash."""

from __future__ import annotations

from collections.abc import Callable

import attrs

MOST_HISTORY = 500


class BadCommand(Exception):
    """The text says what is wrong and how it should be."""


@attrs.frozen
class Say:
    text: str


@attrs.frozen
class To:
    user: str


@attrs.frozen
class ToGroup:
    group: str


@attrs.frozen
class ListConversations:
    pass


@attrs.frozen
class History:
    """The newest `count`; `older`: those before what was shown last."""

    count: int = 20
    older: bool = False


@attrs.frozen
class Search:
    text: str


@attrs.frozen
class Revoke:
    number: int


@attrs.frozen
class Retry:
    """`number` 0: all that failed in the conversation."""

    number: int = 0


@attrs.frozen
class Read:
    """`by_itself`: from now on, what is shown of the open conversation is marked as read, or not;
    None: mark it now."""

    by_itself: bool | None = None


@attrs.frozen
class Who:
    pass


@attrs.frozen
class Help:
    pass


@attrs.frozen
class Quit:
    pass


Command = (
    Say | To | ToGroup | ListConversations | History | Search | Revoke | Retry | Read | Who | Help
    | Quit
)  # fmt: skip


@attrs.frozen
class _Form:
    """How a command is written, what it does, and what makes it of its argument."""

    arguments: str
    help: str
    make: Callable[[str], Command]


def _name(kind: Callable[[str], Command]) -> Callable[[str], Command]:
    def make(argument: str) -> Command:
        if not argument or len(argument.split()) != 1:
            raise BadCommand("one ID is needed")
        return kind(argument)

    return make


def _nothing(kind: Callable[[], Command]) -> Callable[[str], Command]:
    def make(argument: str) -> Command:
        if argument:
            raise BadCommand("it takes no argument")
        return kind()

    return make


def _number(argument: str, most: int, default: int | None) -> int:
    if not argument and default is not None:
        return default
    digits = argument.removeprefix("#")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10 and 0 < int(digits) <= most):
        raise BadCommand("a number is needed" + (f", 1 to {most}" if most < 10**8 else ""))
    return int(digits)


def _search(argument: str) -> Command:
    if not argument:
        raise BadCommand("a text is needed")
    return Search(argument)


def _read(argument: str) -> Command:
    modes = {"": None, "auto": True, "manual": False}
    if argument not in modes:
        raise BadCommand("only auto or manual may follow")
    return Read(modes[argument])


_ANY = 10**9
FORMS: dict[str, _Form] = {
    "/to": _Form("USER", "write to a user", _name(To)),
    "/group": _Form("GROUP", "write to a group", _name(ToGroup)),
    "/list": _Form("", "conversations, with what is unread", _nothing(ListConversations)),
    "/history": _Form(
        "[N]", "the newest messages here", lambda a: History(_number(a, MOST_HISTORY, 20))
    ),
    "/older": _Form(
        "[N]", "those before them", lambda a: History(_number(a, MOST_HISTORY, 20), older=True)
    ),
    "/search": _Form("TEXT", "messages with this text, in all conversations", _search),
    "/revoke": _Form("N", "take message #N back", lambda a: Revoke(_number(a, _ANY, None))),
    "/retry": _Form(
        "[N]", "send again what failed: #N, or all of it here", lambda a: Retry(_number(a, _ANY, 0))
    ),
    "/read": _Form(
        "[auto|manual]", "mark as read now; by itself (as at the start); only when told", _read
    ),
    "/who": _Form("", "who you are, and how you are connected", _nothing(Who)),
    "/help": _Form("", "this list", _nothing(Help)),
    "/quit": _Form("", "leave; so do Ctrl-D and Ctrl-C", _nothing(Quit)),
}


def parse(typed: str) -> Command | None:
    """None: nothing was typed.  A line that begins with two slashes is a text with one.  Raises
    BadCommand."""
    if not typed.strip():
        return None
    if typed.startswith("//"):
        return Say(typed[1:])
    if not typed.startswith("/"):
        return Say(typed)
    name, _, argument = typed.strip().partition(" ")
    form = FORMS.get(name)
    if form is None:
        raise BadCommand(f"{name}: there is no such command; /help lists them")
    try:
        return form.make(argument.strip())
    except BadCommand as wrong:
        raise BadCommand(f"{name} {form.arguments}".rstrip() + f": {wrong}") from None


def help_lines() -> list[tuple[str, str]]:
    """How each is written, and what it does."""
    return [
        *((f"{name} {form.arguments}".rstrip(), form.help) for name, form in FORMS.items()),
        ("//…", "a text that begins with a slash"),
    ]
