"""openim-trio: an instant-messaging server for OpenIM clients."""

__version__ = "0.1.0"
