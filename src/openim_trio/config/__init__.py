"""openim_trio.config."""
