"""openim_trio.observability."""
