"""Pages and versions: the parts that many requests share."""

from __future__ import annotations

from typing import Annotated

import attrs

from openim_trio.api.marks import REQUIRED, AtLeast, AtMost, Int32, Note, UInt64

MAX_PAGE = 10_000

Version = Annotated[UInt64, Note("Last seen version; 0: none.")]
VersionID = Annotated[str, Note("Last seen version document; empty: none.")]
IDHash = Annotated[UInt64, Note("Hash of the caller's ordered ID list; 0 for an empty one.")]


@attrs.frozen(kw_only=True)
class RequestPagination:
    pageNumber: Annotated[Int32, REQUIRED, AtLeast(1), Note("From 1.")]
    showNumber: Annotated[
        Int32, AtMost(MAX_PAGE), Note("Items on a page; 0 or less: an empty page.")
    ] = 0
