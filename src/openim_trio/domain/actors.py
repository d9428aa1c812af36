"""Who acts: the person behind a token."""

from __future__ import annotations

import attrs

from openim_trio.domain.platforms import Platform


@attrs.frozen(slots=True)
class Actor:
    user_id: str
    platform: Platform
    is_admin: bool
    token_hash: str = ""
    """sha256 hex of the token; never the token itself"""

    def may_act_for(self, user_id: str) -> bool:
        """The protocol's SELF rule: the user in question, or an administrator."""
        return self.is_admin or self.user_id == user_id
