"""A client's state machines: plain classes without I/O; `now` is an argument."""
