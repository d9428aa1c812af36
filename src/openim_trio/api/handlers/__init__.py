"""What the routes do: a request in, one service call, a response out."""
