"""Request and response bodies, by area.

Attributes bear the protocol's own field names: what stands here is what stands on the wire.
"""
