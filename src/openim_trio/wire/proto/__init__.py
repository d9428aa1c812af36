"""openim_trio.wire.proto."""
