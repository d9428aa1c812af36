"""openim_trio.process."""
