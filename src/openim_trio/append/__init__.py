"""openim_trio.append."""
