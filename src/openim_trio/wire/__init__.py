"""openim_trio.wire."""
