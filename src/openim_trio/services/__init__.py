"""openim_trio.services."""
