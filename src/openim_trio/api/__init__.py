"""openim_trio.api."""
