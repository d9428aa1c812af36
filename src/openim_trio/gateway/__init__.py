"""openim_trio.gateway."""
