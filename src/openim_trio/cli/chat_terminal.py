"""A terminal for `openim-trio chat`: lines scroll by above; below them stand what is on the way,
the input and the toolbar.

prompt_toolkit needs an event loop of its own, so its application runs in a thread, once, from the
first line to the last.  All that is drawn is drawn there.  Trio hands it lines through a bounded
queue, and it hands Trio what was typed.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

import trio
from prompt_toolkit import PromptSession
from prompt_toolkit.application.run_in_terminal import run_in_terminal
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.styles import Style
from rich.console import Console
from rich.text import Text

from openim_trio.cli.chat_commands import FORMS
from openim_trio.cli.chat_feed import View
from openim_trio.cli.chat_lines import STYLES, Line, Span, problem
from openim_trio.cli.chat_screen import Typed
from openim_trio.cli.chat_status import Status, toolbar

WAITING_LINES = 10_000
"""lines that wait to be drawn (a terminal may be stopped); beyond them the oldest are let go"""
REDRAW_EVERY = 0.5
"""seconds: the toolbar counts down"""


class Terminal:
    interactive = True
    linger = 0.7

    def __init__(self, me: str) -> None:
        self._view = View(Status(me, ""))
        self._console = Console(highlight=False, soft_wrap=True)
        self._lock = threading.Lock()
        self._waiting: deque[Line] = deque()
        self._lost = 0
        self._ended = False
        self._hand_on: Callable[[str], None] = lambda _: None
        self._typing: Typed = lambda: None
        self._session: PromptSession[str] | None = None

    # -- from Trio ---------------------------------------------------------------------------------

    def print(self, line: Line) -> None:
        with self._lock:
            if len(self._waiting) == WAITING_LINES:
                self._waiting.popleft()
                self._lost += 1
            self._waiting.append(line)
        if not self._in_loop(self._draw_soon):
            self._draw()

    def update(self, view: View) -> None:
        self._view = view
        if self._session is not None:
            self._session.app.invalidate()

    async def read(self, lines: trio.MemorySendChannel[str], typing: Typed) -> None:
        token = trio.lowlevel.current_trio_token()

        def take(typed: str) -> None:
            try:
                lines.send_nowait(typed)
            except trio.WouldBlock:
                self.print(problem("too much at once; not taken: " + typed))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # nobody takes lines any more: it is ending

        self._hand_on = lambda typed: token.run_sync_soon(take, typed)
        self._typing = lambda: token.run_sync_soon(typing)
        self._session = self._make_session()
        over = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._run, over)
            try:
                await over.wait()
            finally:
                self._ended = True
                self._in_loop(self._exit)

    async def _run(self, over: trio.Event) -> None:
        """The thread is never left alone: it has the terminal in its own mode."""
        try:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._prompt)
        finally:
            self._session = None
            self._draw()
            over.set()

    # -- in the application's thread ---------------------------------------------------------------

    def _prompt(self) -> None:
        assert self._session is not None
        try:
            self._session.prompt(
                self._message,
                bottom_toolbar=self._toolbar,
                refresh_interval=REDRAW_EVERY,
                pre_run=self._on_start,
            )
        except (EOFError, KeyboardInterrupt):
            return

    def _on_start(self) -> None:
        assert self._session is not None
        loop = self._session.app.loop
        assert loop is not None
        loop.call_soon(self._exit if self._ended else self._draw_soon)

    def _exit(self) -> None:
        session = self._session
        if session is not None and session.app.is_running and not session.app.is_done:
            session.app.exit(exception=EOFError)

    def _draw_soon(self) -> None:
        if self._waiting:
            run_in_terminal(self._draw)

    def _draw(self) -> None:
        with self._lock:
            lines, lost = list(self._waiting), self._lost
            self._waiting.clear()
            self._lost = 0
        if lost:
            lines.insert(0, problem(f"{lost:,} lines were not shown: the terminal stood still"))
        for line in lines:
            self._console.print(_rich(line))

    # -- between the threads -----------------------------------------------------------------------

    def _in_loop(self, call: Callable[[], None]) -> bool:
        """False: the application does not run."""
        session = self._session
        loop = session.app.loop if session is not None else None
        if loop is None:
            return session is not None  # about to start: `_on_start` looks
        try:
            loop.call_soon_threadsafe(call)
        except RuntimeError:  # closed meanwhile: `_run` looks
            return True
        return True

    # -- below -------------------------------------------------------------------------------------

    def _make_session(self) -> PromptSession[str]:
        session: PromptSession[str] = PromptSession(
            key_bindings=self._bindings(),
            completer=_Commands(),
            complete_while_typing=False,
            style=_STYLE,
            erase_when_done=True,
        )
        session.default_buffer.on_text_changed += lambda buffer: self._on_text(buffer.text)
        return session

    def _bindings(self) -> KeyBindings:
        bindings = KeyBindings()

        @bindings.add("enter")
        def _(event: KeyPressEvent) -> None:
            """Hand the line on, without ending the application: what is printed meanwhile always
            has a place."""
            buffer = event.current_buffer
            typed = buffer.text
            buffer.append_to_history()
            buffer.reset()
            self._hand_on(typed)

        return bindings

    def _on_text(self, text: str) -> None:
        if text and not text.startswith("/"):
            self._typing()

    def _message(self) -> StyleAndTextTuples:
        view = self._view
        found: StyleAndTextTuples = []
        for line in view.on_the_way:
            found += [*_fragments(line.spans), ("", "\n")]
        peer = view.status.peer
        return [*found, ("class:other", peer.name if peer is not None else ""), ("", "> ")]

    def _toolbar(self) -> StyleAndTextTuples:
        return _fragments(toolbar(self._view.status, time.monotonic()).spans)


class _Commands(Completer):
    """Tab completes the commands' names."""

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        typed = document.text_before_cursor
        for name, form in FORMS.items():
            if name.startswith(typed) and typed:
                yield Completion(
                    name, -len(typed), display=f"{name} {form.arguments}", display_meta=form.help
                )


def _rich(line: Line) -> Text:
    return Text.assemble(*((span.text, STYLES.get(span.style, "")) for span in line.spans))


def _fragments(spans: Iterable[Span]) -> StyleAndTextTuples:
    return [(f"class:{span.style}" if span.style else "", span.text) for span in spans]


_STYLE = Style(
    [
        ("time", "ansibrightblack"),
        ("note", "ansibrightblack"),
        ("own", "ansicyan"),
        ("other", "bold ansimagenta"),
        ("good", "ansigreen"),
        ("warn", "ansiyellow"),
        ("bad", "bold ansired"),
        ("strong", "bold"),
        ("bottom-toolbar", "noreverse"),
    ]
)
"""`STYLES`, as prompt_toolkit spells them"""
