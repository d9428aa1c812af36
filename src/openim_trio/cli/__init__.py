"""openim_trio.cli."""
