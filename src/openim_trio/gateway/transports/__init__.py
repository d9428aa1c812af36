"""openim_trio.gateway.transports."""
