"""The seam to the socket and its two implementations."""
