"""openim_trio.redisio."""
