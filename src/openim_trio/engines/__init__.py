"""openim_trio.engines."""
