"""openim_trio.domain."""
