"""openim_trio.store."""
