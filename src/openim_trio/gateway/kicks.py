"""Registering a connection, and which connections a kick message ends."""

from __future__ import annotations

from collections.abc import Iterable

from openim_trio.domain.errors import TOKEN_CODES, ServiceError
from openim_trio.domain.login_policy import kicked_connection
from openim_trio.domain.platforms import Platform
from openim_trio.gateway.ports import TokenGate
from openim_trio.gateway.session import Session
from openim_trio.services.control import Kick


async def register(tokens: TokenGate, session: Session) -> None:
    """Apply the login policy to the user's other connections and tokens.

    To be called once the connection hears kicks: one that was told before left its mark on the
    token.  A connection whose token was taken back since the handshake goes itself.  Raises
    ServiceError, SequencerUnavailable and StoreUnavailable: to be called again."""
    try:
        await tokens.connected(session.actor)
    except ServiceError as error:
        if error.code not in TOKEN_CODES:
            raise
        session.kick()


def kicked_by(kick: Kick, policy: int, sessions: Iterable[Session]) -> list[Session]:
    """Of the user's connections on this worker those that have to go.

    A newcomer's message comes back to the newcomer too: only from then on can it be displaced.
    Redis gives all workers the messages of one channel in one order, so of two logins at the same
    moment exactly the later one stays.  A connection with the newcomer's own token always stays.
    """
    gone = []
    for session in sessions:
        if session.actor.token_hash == kick.spare_token:
            session.kickable = session.kickable or kick.newcomer
        elif not kick.newcomer:
            if session.platform == kick.platform:
                gone.append(session)
        elif session.kickable and kicked_connection(
            policy, Platform(kick.platform), session.platform
        ):
            gone.append(session)
    return gone
